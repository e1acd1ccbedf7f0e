"""The programs that are measured, each in a process of its own.

Invariant: whatever happens in a round, its process is ended by its own handle.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from benchmarks.arena import WrongError
from worker.settings import PREFIX, Settings

_STOP_SECONDS = 40
_SHOWN_BYTES = 2000
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Contestant:
    """A program that creates heroes from the queues until SIGTERM."""

    name: str
    arguments: tuple[str, ...]


WORKER = Contestant("heroes worker", ("-c", "from worker.cli import main; main()", "worker"))
UNWATCHED = Contestant("worker, nobody looking on", ("-m", "benchmarks.unwatched"))
HAND_WRITTEN = Contestant("hand-written", ("-m", "benchmarks.hand_written"))


class Running:
    """A contestant at work."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: IO[bytes]) -> None:
        self._process = process
        self._log = log

    def cpu_seconds(self) -> float:
        """User and system time of the process so far."""
        # The command's name stands in brackets and may hold spaces; the times are fields 14 and 15.
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS

    def require_alive(self) -> None:
        """Raises: WrongError if it has ended."""
        if self._process.poll() is not None:
            raise WrongError(f"ended with {self._process.returncode}")

    def leave(self) -> None:
        """It has finished what it had in hand. Raises: WrongError if it takes too long or fails."""
        self._process.terminate()
        try:
            code = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise WrongError(f"did not leave within {_STOP_SECONDS} s") from None
        if code:
            raise WrongError(f"left with {code}")

    def said(self) -> str:
        """The end of its log."""
        self._log.seek(0)
        return self._log.read()[-_SHOWN_BYTES:].decode(errors="replace")


@contextmanager
def started(contestant: Contestant, settings: Settings) -> Iterator[Running]:
    """The contestant on these services, in the settings that an operator gets by default."""
    own = {"rabbitmq_url": settings.rabbitmq_url, "database_url": settings.database_url, "http_port": "0"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environment |= {f"{PREFIX}{name.upper()}": value for name, value in own.items()}
    with TemporaryFile() as log:
        command = [sys.executable, *contestant.arguments]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)  # noqa: S603 - our own programs
        try:
            yield Running(process, log)
        finally:
            process.kill()
            process.wait()
