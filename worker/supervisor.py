"""Runs several worker processes on one machine: starts them, starts again what died, and takes all of them down.

Each is this very command line once more, with a name and a port of its own. They hold the reading end of one pipe and
leave when it ends: when their parent asks them to, and also when it is no more, however it ended.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable
from contextlib import suppress

from worker.errors import ExitCode, SettingsError
from worker.settings import PREFIX, Settings

LEAVE_WITH = "--leave-with"
"""The option that names the reading end to a process; nobody types it."""
SHARE = "--share"
"""The option that tells a process its number and how many there are; nobody types it."""

_HIGHEST_PORT = 65_535
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0
_SETTLED_SECONDS = 60.0
_GRACE_SECONDS = 2.0  # a process whose time to leave is up ends itself

_log = logging.getLogger(__name__)


class Supervisor:
    """Watches over worker processes until it is asked to leave, or one of them refuses to run."""

    def __init__(self, settings: Settings, processes: int) -> None:
        if settings.http_port and settings.http_port + processes - 1 > _HIGHEST_PORT:
            raise SettingsError(f"{PREFIX}HTTP_PORT: should leave room for {processes} ports, from this one upwards")
        self._settings = settings
        self._processes = processes
        self._running: dict[int, Process] = {}
        self._leaving = asyncio.Event()
        self._exit_code = ExitCode.DONE
        self._theirs, self._ours = os.pipe()

    async def run(self) -> ExitCode:
        """All have run, and none does any more: as asked, or since one refused with this code."""
        watching = [asyncio.create_task(self._watch(number)) for number in range(self._processes)]
        asked = asyncio.create_task(self._leaving.wait())
        await asyncio.wait((asked, *watching), return_when=asyncio.FIRST_COMPLETED)
        self._leave(ExitCode.DONE)  # where one of the watchers failed, which is raised below
        _, late = await asyncio.wait(
            (asked, *watching), timeout=self._settings.shutdown_timeout_seconds + _GRACE_SECONDS
        )
        if late:
            _log.warning("%d processes did not leave in time, ending them now", len(self._running))
            self._kill()
        await asyncio.gather(*watching)
        return self._exit_code

    def leave_or_end(self) -> None:
        """Every process finishes what it has in hand; asked once more, all end at once, as a single worker does."""
        if self._leaving.is_set():
            self._kill()
            signal.raise_signal(signal.SIGKILL)
        self._leave(ExitCode.DONE)

    def _leave(self, exit_code: ExitCode) -> None:
        """The pipe tells them, not a signal: where somebody signals the whole group, that would be their second."""
        if not self._leaving.is_set():
            self._exit_code = exit_code
            self._leaving.set()
            os.close(self._ours)

    def _kill(self) -> None:
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.kill()

    async def _watch(self, number: int) -> None:
        restarts, pause_seconds = 0, _FIRST_PAUSE_SECONDS
        while not self._leaving.is_set():
            began = time.monotonic()
            code = await self._one(number)
            if self._leaving.is_set():
                break
            if _is_refusal(code, restarts):
                _log.error("process %d refuses to run (exit code %d): the others leave", number, code)
                self._leave(ExitCode(code))
                break
            if time.monotonic() - began > _SETTLED_SECONDS:
                pause_seconds = _FIRST_PAUSE_SECONDS
            _log.warning("process %d ended (exit code %d): starting it again in %g s", number, code, pause_seconds)
            await self._pause(pause_seconds)
            restarts, pause_seconds = restarts + 1, min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)

    async def _one(self, number: int) -> int:
        """It has run; its exit code, below zero a signal. What a terminal sends to a group reaches the parent alone."""
        port = self._settings.http_port
        own = {"WORKER_ID": f"{self._settings.worker_id}#{number}", "HTTP_PORT": str(port and port + number)}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *sys.orig_argv[1:],
            *("--processes", "1", LEAVE_WITH, str(self._theirs)),
            *(SHARE, str(number), str(self._processes)),
            env={**os.environ, **{f"{PREFIX}{name}": value for name, value in own.items()}},
            stdin=DEVNULL,
            pass_fds=(self._theirs,),
            start_new_session=True,
        )
        self._running[number] = process
        try:
            return await process.wait()
        finally:
            del self._running[number]

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._leaving.wait()


def _is_refusal(code: int, restarts: int) -> bool:
    """A service that is away keeps none from starting again that has run before: the others wait for it, too."""
    return code in {ExitCode.USAGE, ExitCode.UNPREPARED} or (code == ExitCode.UNREACHABLE and restarts == 0)


def leave_with_parent(pipe: int, leave: Callable[[], object], timeout_seconds: float) -> None:
    """`leave` is called in a thread when the parent asks for it or is gone; a process that then stays is killed.

    A thread, as it also sees the end of a parent while the event loop is stuck.
    """

    def watch() -> None:
        os.read(pipe, 1)
        with suppress(RuntimeError):  # the loop is closed: it is leaving already
            leave()
        time.sleep(timeout_seconds + _GRACE_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent", daemon=True).start()
