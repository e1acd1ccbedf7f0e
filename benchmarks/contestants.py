"""The programs that are measured, each in processes of its own.

Invariant: whatever happens in a round, its processes and their children are ended.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from tempfile import TemporaryFile
from typing import IO

import psutil

from benchmarks.usage import cpu_seconds, peak_bytes, resident_bytes
from worker.settings import PREFIX, Settings

_STOP_SECONDS = 40
_SHOWN_BYTES = 2000


class WrongError(RuntimeError):
    """A contestant did not do what it is measured for: it gets no figure."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A program that creates heroes from queued commands until SIGTERM."""

    name: str
    arguments: tuple[str, ...]
    """For `python`; `{copy}` stands for the number of the process, from 0."""
    settings: tuple[tuple[str, str], ...] = ()
    """Besides the operator's defaults."""
    copies: int = 1
    fill: tuple[str, ...] = ()
    """The program that fills the queues, if they are its own; it gets the number of commands."""
    needs: tuple[str, ...] = ()
    """Libraries that only the benchmarks need."""
    leaves_out: str = ""
    """What it does not do for its rate."""
    leaves_with: tuple[int, ...] = (0,)
    events: str = ""
    """Of a peer: the queue in which an event for each hero comes to stand, if it publishes any."""
    remembers: bool = False
    """Of a peer: it has a row for each command."""

    @property
    def is_peer(self) -> bool:
        """It has queues of its own, for commands and for events."""
        return bool(self.fill)

    def missing(self) -> list[str]:
        """The libraries that it needs and that are not installed."""
        return [library for library in self.needs if find_spec(library) is None]

    def times(self, copies: int) -> "Contestant":
        """The same in so many processes."""
        return replace(self, name=f"{self.name} x {copies}", copies=copies)


_HEROES_WORKER = ("-c", "from worker.cli import main; main()", "worker")
WORKER = Contestant("heroes worker", _HEROES_WORKER)
TWO_PROCESSES = Contestant("heroes worker --processes 2", (*_HEROES_WORKER, "--processes", "2"))
UNWATCHED = Contestant("worker, nobody looking on", ("-m", "benchmarks.unwatched"))
HAND_WRITTEN = Contestant(
    "hand-written",
    ("-m", "benchmarks.hand_written"),
    leaves_out="batches, order among commands in hand, rejections, reused ids, expiry, retries, outages, dead letters,"
    " figures and logs",
)


class Running:
    """A contestant at work."""

    def __init__(
        self, contestant: Contestant, processes: "Sequence[subprocess.Popen[bytes]]", logs: Sequence[IO[bytes]]
    ) -> None:
        self._contestant = contestant
        self._processes = processes
        self._logs = logs

    @property
    def pids(self) -> list[int]:
        """Its processes, without the children that they may have."""
        return [process.pid for process in self._processes]

    def cpu_seconds(self) -> float:
        """User and system time of all its processes so far."""
        return cpu_seconds(self.pids)

    def peak_bytes(self) -> int:
        """The most memory that its processes have had in use."""
        return peak_bytes(self.pids)

    def resident_bytes(self) -> int:
        """The memory that its processes have in use now."""
        return resident_bytes(self.pids)

    def require_alive(self) -> None:
        """Raises: WrongError if a process of it has ended."""
        for process in self._processes:
            if process.poll() is not None:
                raise WrongError(f"ended with {process.returncode}")

    def leave(self) -> None:
        """It has finished what it had in hand. Raises: WrongError if it takes too long or fails."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                code = process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                raise WrongError(f"did not leave within {_STOP_SECONDS} s") from None
            if code not in self._contestant.leaves_with:
                raise WrongError(f"left with {code}")

    def said(self) -> str:
        """The ends of its logs."""
        return "\n".join(_end_of(log) for log in self._logs)


@contextmanager
def started(contestant: Contestant, settings: Settings, *more: str) -> Iterator[Running]:
    """The contestant on these services, in the settings that an operator gets by default but for its own."""
    with ExitStack() as stack:
        logs = [stack.enter_context(TemporaryFile()) for _ in range(contestant.copies)]
        processes = []
        for copy, log in enumerate(logs):
            arguments = [one.replace("{copy}", str(copy)) for one in (*contestant.arguments, *more)]
            process = _started(arguments, environment(settings, contestant, copy), log)
            stack.callback(_end, process)
            processes.append(process)
        yield Running(contestant, processes, logs)


def environment(settings: Settings, contestant: Contestant, copy: int = 0) -> dict[str, str]:
    """The variables for one process; our own leave no trace in it but the services."""
    own = {"rabbitmq_url": settings.rabbitmq_url, "database_url": settings.database_url, "http_port": "0"}
    own |= {"worker_id": f"bench-{copy}", **dict(contestant.settings)}
    others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return others | {f"{PREFIX}{name.upper()}": value for name, value in own.items()}


def _started(arguments: Sequence[str], environ: dict[str, str], log: IO[bytes]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, *arguments]
    return subprocess.Popen(command, env=environ, stdout=log, stderr=log, start_new_session=True)  # noqa: S603 - ours, all of them


def _end(process: "subprocess.Popen[bytes]") -> None:
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):  # some are in a session of their own
            with suppress(psutil.NoSuchProcess):
                child.kill()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # also those whose parent has ended
    process.wait()


def _end_of(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read()[-_SHOWN_BYTES:].decode(errors="replace")
