"""A real worker in a process of its own that kills itself in a chosen window, as the test sees it from the outside.

Processes are forked off a server that has imported everything and runs nothing, so each is a worker within a fraction
of a second.
"""

import asyncio
import multiprocessing
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess

import worker.app
from tests.faults.crash_points import Death, Window, work
from tests.harness.stage import Stage, eventually

_WITHIN_SECONDS = 30

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    # not the program itself: every process runs it once more, as multiprocessing does with a main module
    ["tests.faults.crashing_worker", "tests.faults.crash_traffic", "worker.local", "worker.operations.prepare"]
)


@dataclass(slots=True)
class CrashingWorker:
    """One worker: what it took, what it acknowledged, and how it died."""

    process: ForkServerProcess
    pipe: Connection
    arrived: Counter[str] = field(default_factory=Counter)
    acked: Counter[str] = field(default_factory=Counter)
    delivery_counts: list[int] = field(default_factory=list)
    program: str = ""
    death: Death | None = None
    _hung_up: bool = False

    @classmethod
    @asynccontextmanager
    async def started(cls, stage: Stage, window: Window) -> AsyncIterator["CrashingWorker"]:
        """It is on its way; after the block it is gone."""
        pipe, theirs = _processes.Pipe()
        process = _processes.Process(target=work, args=(stage, window, theirs), daemon=True)
        process.start()
        theirs.close()
        started = cls(process, pipe)
        asyncio.get_running_loop().add_reader(pipe.fileno(), started._listen)
        try:
            yield started
        finally:
            process.kill()
            process.join()
            started._hang_up()
            process.close()
            pipe.close()

    @property
    def in_hand(self) -> Counter[str]:
        """What it had taken and not acknowledged."""
        return self.arrived - self.acked

    async def ready(self) -> None:
        """It takes commands, and it is the very program that the test has imported."""
        await self._until(lambda: bool(self.program), "takes commands")
        assert self.program == worker.app.__file__, f"another program was started: {self.program}"

    async def finished(self, owed: Counter[str]) -> None:
        """Everything that an earlier worker had in hand is acknowledged by this one."""
        await self._until(lambda: not owed - self.acked, f"acknowledges {len(owed)} commands that came again")

    def condemn(self, victims: Iterable[str], nth: int) -> None:
        """It will die in its window, at the nth of these commands to get there."""
        self.pipe.send((set(victims), nth))

    async def died(self) -> Death:
        """It killed itself in its window."""
        await self._until(lambda: self._hung_up, "dies")
        assert self._exit_code() == -signal.SIGKILL, f"ended with {self.process.exitcode}"
        assert self.death is not None, "it was killed, but not by itself"
        return self.death

    async def leave(self) -> None:
        """It left as it should."""
        self.pipe.send(None)
        await self._until(lambda: self._hung_up, "leaves")
        assert self._exit_code() == 0, f"ended with {self.process.exitcode}"

    def _exit_code(self) -> int | None:
        self.process.join(_WITHIN_SECONDS)
        return self.process.exitcode

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        async def is_so() -> bool:
            assert condition() or not self._hung_up, f"the worker ended before it {what}"
            return condition()

        await eventually(is_so, f"the worker {what}", within_seconds=_WITHIN_SECONDS)

    def _listen(self) -> None:
        try:
            while self.pipe.poll():
                self._note(self.pipe.recv())
        except (EOFError, OSError):
            self._hang_up()

    def _note(self, said: Death | tuple[str, str, int]) -> None:
        if isinstance(said, Death):
            self.death = said
            return
        what, subject, count = said
        if what == "ready":
            self.program = subject
        elif what == "acked":
            self.acked[subject] += 1
        else:
            self.arrived[subject] += 1
            self.delivery_counts.append(count)

    def _hang_up(self) -> None:
        if not self._hung_up:
            self._hung_up = True
            asyncio.get_running_loop().remove_reader(self.pipe.fileno())
