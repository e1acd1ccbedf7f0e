"""The command line: run a worker, prepare broker and database, check them, send a command by hand.

Exit codes (worker.errors.ExitCode) are part of the contract: 0 done, 1 refused, 2 usage or settings, 3 a service is
away, 4 schema or topology missing or wrong, 74 the output can't be written, 141 nobody reads it any more.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from typing import Annotated, Any

import typer
import uvloop
from rich.markup import escape

from worker.collector import spare_what_stays
from worker.errors import ExitCode, RefuseToStartError
from worker.observability.logging import configure_logging
from worker.operations.ask import ask_app
from worker.operations.calling import OutputError, console, tell
from worker.operations.check.command import check
from worker.operations.dead_letters.commands import dead_letters_app
from worker.operations.queues import queues
from worker.operations.send import send_app
from worker.settings import Settings, load_settings, unknown_variables
from worker.supervisor import LEAVE_WITH, SHARE, Supervisor, leave_with_parent

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(send_app, name="send")
app.add_typer(ask_app)
app.command()(check)
app.command()(queues)
app.add_typer(dead_letters_app, name="dead-letters")


@app.callback()
def heroes() -> None:
    """Applies commands from RabbitMQ to PostgreSQL, each exactly once and in order, and announces what happened."""


@app.command()
def worker(
    processes: Annotated[int, typer.Option("--processes", min=1, max=64, help="So many on this machine.")] = 1,
    leave_with: Annotated[int | None, typer.Option(LEAVE_WITH, hidden=True)] = None,
    share: Annotated[tuple[int, int], typer.Option(SHARE, hidden=True)] = (0, 1),
) -> None:
    """Run a worker until SIGTERM or SIGINT; then it finishes what it has in hand. A second signal ends it at once."""
    _run(partial(_supervise, processes=processes) if processes > 1 else partial(_work, parent=leave_with, share=share))


@app.command()
def setup(
    database: Annotated[bool, typer.Option("--database", help="Only the tables.")] = False,
    broker: Annotated[bool, typer.Option("--broker", help="Only exchanges, queues and bindings.")] = False,
) -> None:
    """Prepare the database and the broker. Run it before the first worker and at each new version; it may run twice."""
    both = database == broker

    async def prepare_all(settings: Settings) -> None:
        from worker.operations import prepare  # as in `_work`

        done = []
        try:
            if database or both:
                await prepare.prepare_database(settings)
                done.append("the tables are those of this version")
            if broker or both:
                await prepare.prepare_broker(settings)
                done.append("exchanges, queues and bindings are there")
        finally:  # both are done, whether or not anybody reads it
            for sentence in done:
                console().print(f"[green]✓[/] {sentence}")

    _run(prepare_all)


async def _supervise(settings: Settings, processes: int) -> None:
    supervisor = Supervisor(settings, processes)
    _on_signals(supervisor.leave_or_end)
    if code := await supervisor.run():
        raise typer.Exit(code)


async def _work(settings: Settings, parent: int | None, share: tuple[int, int]) -> None:
    leaving = _Leaving(settings.shutdown_timeout_seconds)
    if parent is not None:
        leave = partial(asyncio.get_running_loop().call_soon_threadsafe, leaving.ask)
        leave_with_parent(parent, leave, settings.shutdown_timeout_seconds)
    # A second of imports that no other command should wait for.
    from worker.app import running_worker
    from worker.messaging.share import Share

    spare_what_stays()  # before commands come: it takes a moment

    _on_signals(leaving.by_signal)
    async with AsyncExitStack() as stack:
        starting = asyncio.create_task(stack.enter_async_context(running_worker(settings, share=Share(*share))))
        asked = asyncio.create_task(leaving.asked.wait())
        await asyncio.wait((starting, asked), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            await asked
        else:  # asked to leave while still waiting for a service
            starting.cancel()
            await asyncio.wait((starting,))


class _Leaving:
    """Asked by its parent or by a signal, it leaves in time; at a second signal it ends at once."""

    def __init__(self, timeout_seconds: float) -> None:
        self.asked = asyncio.Event()
        self._timeout_seconds = timeout_seconds
        self._is_signalled = False

    def by_signal(self) -> None:
        if self._is_signalled:
            signal.raise_signal(signal.SIGKILL)  # the broker hands out again whatever is left; nothing is lost by it
        self._is_signalled = True
        self.ask()

    def ask(self) -> None:
        if not self.asked.is_set():
            self.asked.set()
            asyncio.get_running_loop().call_later(self._timeout_seconds, _out_of_time)


def _on_signals(act: Callable[[], None]) -> None:
    for wanted in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(wanted, act)


def _out_of_time() -> None:
    logging.getLogger(__name__).warning("leaving took too long, ending now: the broker hands out again what is left")
    os._exit(ExitCode.DONE)


def _run(command: Callable[[Settings], Coroutine[Any, Any, None]]) -> None:
    """Settings and refusals become one sentence each and an exit code; nothing here shows a traceback or a password."""
    try:
        settings = load_settings()
        configure_logging(settings.log_format, settings.log_level)
        for name in unknown_variables():
            logging.getLogger(__name__).warning("%s is no setting of the worker and is ignored", name)
        uvloop.run(command(settings))
    except RefuseToStartError as refusal:
        tell(f"[red]{escape(str(refusal))}[/]")
        raise typer.Exit(refusal.exit_code) from None


def main() -> None:
    """The `heroes` program."""
    try:
        app()
    except OutputError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left in the buffer goes nowhere
        if error.exit_code is not ExitCode.UNREAD:  # who has closed the pipe wants to hear no more
            tell(escape(str(error)))
        sys.exit(error.exit_code)
