"""Real worker processes, each with a cable of its own to the broker and to the database.

Invariant: a process that ends without having been told to is remembered, and started again as a supervisor would.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.cable import Cable

ROOT = Path(__file__).parents[2]
HEROES = (sys.executable, "-c", "from worker.cli import main; main()")
LEAVING_TIMEOUT_SECONDS = 10
FAR_AWAY, FAR_SECONDS = ("worker-r",), 0.005  # and the only one that holds on to its commands in an outage
MARGIN_SECONDS = 15
SERVICE_AWAY = 3
AT_WORK = "takes commands"  # before it says so, SIGTERM may simply end it
# On RabbitMQ 4 the rendezvous hash of these names shares out the 16 slots as 8 8, 5 5 6 and 4 4 4 4 for the first two,
# three and four of them. Other names do worse: worker-a, -b and -c would get 11, 3 and 2.
IDS = ("worker-a", "worker-r", "worker-g", "worker-u")


def environment(rabbitmq_url: str, database_url: str, **more: str) -> dict[str, str]:
    """For a `heroes` process: nothing of ours but these settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HEROES_")}
    urls = {"HEROES_RABBITMQ_URL": rabbitmq_url, "HEROES_DATABASE_URL": database_url}
    return {**inherited, **urls, "PYTHONUNBUFFERED": "1", **more}


@dataclass(slots=True)
class WorkerProcess:
    """One worker's place; the process in it comes and goes."""

    name: str
    amqp: Cable
    sql: Cable
    log: Path
    settings: Mapping[str, str]
    endings: list[str] = field(default_factory=list)  # what no worker should have done
    wanted: bool = False
    false_starts: int = 0  # it found a service away while it started, said so and left: to be started again
    _times_at_work: int = 0  # before the present process
    _process: Process | None = None
    _watch: "asyncio.Task[None] | None" = None

    @classmethod
    @asynccontextmanager
    async def placed(cls, name: str, urls: tuple[str, str], folder: Path) -> AsyncIterator["WorkerProcess"]:
        """A place for it; killed at the end, if it still runs."""
        async with AsyncExitStack() as stack:
            is_far = name in FAR_AWAY
            amqp = await stack.enter_async_context(Cable.to(urls[0], latency_seconds=FAR_SECONDS if is_far else 0))
            sql = await stack.enter_async_context(Cable.to(urls[1]))
            settings = {
                "HEROES_WORKER_ID": name,
                "HEROES_HTTP_PORT": "0",
                "HEROES_SWEEP_AFTER_SECONDS": "5",
                "HEROES_OUTAGE_RELEASE_SECONDS": "300" if is_far else "3",
                "HEROES_SHUTDOWN_TIMEOUT_SECONDS": str(LEAVING_TIMEOUT_SECONDS),
            }
            place = cls(name, amqp, sql, folder / f"{name}.log", environment(amqp.url, sql.url, **settings))
            stack.push_async_callback(place.kill)
            yield place

    @property
    def is_running(self) -> bool:
        """A process is there, frozen or not."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """The process is on its way up, if it was not there."""
        if self.is_running:
            return
        self.wanted = True
        self._times_at_work = self.count(AT_WORK)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *HEROES, "worker", cwd=ROOT, env=self.settings, stdin=DEVNULL, stdout=log, stderr=STDOUT
            )
        if not self.wanted:  # told to go while it came
            self._process.kill()
        self._watch = asyncio.create_task(self._supervise(self._process))

    async def kill(self) -> None:
        """It is gone by SIGKILL."""
        self.wanted = False
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        await self._ended()

    async def leave(self) -> None:
        """It is gone by SIGTERM; one that does not go in time is remembered and killed."""
        self.wanted = False
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(LEAVING_TIMEOUT_SECONDS + MARGIN_SECONDS):
                code = await self._process.wait()
        except TimeoutError:
            self.endings.append(f"{self.name}: still there {LEAVING_TIMEOUT_SECONDS + MARGIN_SECONDS} s after SIGTERM")
            await self.kill()
            return
        if code and (code != -signal.SIGTERM or self._has_been_at_work):
            self.endings.append(f"{self.name}: left with exit code {code} after SIGTERM")
        await self._ended()

    def freeze(self) -> None:
        """It stands still; its sockets stay."""
        self._tell(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self._tell(signal.SIGCONT)

    @property
    def _has_been_at_work(self) -> bool:
        return self.count(AT_WORK) > self._times_at_work

    def count(self, text: str) -> int:
        """How often it has written this."""
        return self.log.read_text(errors="replace").count(text) if self.log.exists() else 0

    def _tell(self, wanted: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(wanted)

    async def _supervise(self, process: Process) -> None:
        code = await process.wait()
        if not self.wanted:
            return
        if code == SERVICE_AWAY and not self._has_been_at_work:
            self.false_starts += 1
        else:
            self.endings.append(f"{self.name}: ended by itself with exit code {code}")
        await self.start()

    async def _ended(self) -> None:
        while self._watch is not None and not self._watch.done():
            await asyncio.wait({self._watch})


async def prepare(rabbitmq_url: str, database_url: str) -> None:
    """Tables, exchanges and queues are there, by `heroes setup`."""
    setup: Sequence[str] = (*HEROES, "setup")
    process = await asyncio.create_subprocess_exec(
        *setup, cwd=ROOT, env=environment(rabbitmq_url, database_url), stdin=DEVNULL, stdout=DEVNULL
    )
    assert await process.wait() == 0, "heroes setup succeeds"
