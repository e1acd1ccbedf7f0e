"""The command line: run a worker, prepare broker and database, check them, send a command by hand.

Exit codes (worker.errors.ExitCode) are part of the contract: 0 done, 1 refused, 2 usage or settings, 3 a service is
away, 4 schema or topology missing or wrong.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.markup import escape

from worker.errors import ExitCode, RefuseToStartError
from worker.observability.logging import configure_logging
from worker.operations.ask import ask_app
from worker.operations.check.command import check
from worker.operations.dead_letters.commands import dead_letters_app
from worker.operations.queues import queues
from worker.operations.send import send_app
from worker.settings import Settings, load_settings, unknown_variables

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
def worker() -> None:
    """Run a worker until SIGTERM or SIGINT; then it finishes what it has in hand. A second signal ends it at once."""
    _run(_work)


@app.command()
def setup(
    database: Annotated[bool, typer.Option("--database", help="Only the tables.")] = False,
    broker: Annotated[bool, typer.Option("--broker", help="Only exchanges, queues and bindings.")] = False,
) -> None:
    """Prepare the database and the broker. Run it before the first worker and at each new version; it may run twice."""
    both = database == broker

    async def prepare_all(settings: Settings) -> None:
        from worker.operations import prepare  # as in `_work`

        if database or both:
            await prepare.prepare_database(settings)
            Console().print("[green]✓[/] the tables are those of this version")
        if broker or both:
            await prepare.prepare_broker(settings)
            Console().print("[green]✓[/] exchanges, queues and bindings are there")

    _run(prepare_all)


async def _work(settings: Settings) -> None:
    from worker.app import running_worker  # a second of imports that no other command should wait for

    asked_to_leave = asyncio.Event()
    loop = asyncio.get_running_loop()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(wanted, _leave_or_end, asked_to_leave, settings.shutdown_timeout_seconds)
    leaving = loop.create_task(asked_to_leave.wait())
    async with AsyncExitStack() as stack:
        starting = loop.create_task(stack.enter_async_context(running_worker(settings)))
        await asyncio.wait((starting, leaving), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            await leaving
        else:  # asked to leave while still waiting for a service
            starting.cancel()
            await asyncio.wait((starting,))


def _leave_or_end(asked_to_leave: asyncio.Event, timeout_seconds: float) -> None:
    if asked_to_leave.is_set():
        signal.raise_signal(signal.SIGKILL)  # the broker hands out again whatever is left; nothing is lost by it
    asked_to_leave.set()
    asyncio.get_running_loop().call_later(timeout_seconds, _out_of_time)


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
        Console(stderr=True, soft_wrap=True, emoji=False, highlight=False).print(f"[red]{escape(str(refusal))}[/]")
        raise typer.Exit(refusal.exit_code) from None


def main() -> None:
    """The `heroes` program."""
    app()
