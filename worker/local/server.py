"""One private server's process and its folder under /tmp.

Invariant: whatever ends the owner, even SIGKILL, the process group ends and the folder goes with it.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.local import guardian
from worker.local.errors import LocalServicesError

STOP_TIMEOUT_SECONDS = 15.0
LOG_LINES_SHOWN = 15


@dataclass(frozen=True, slots=True)
class Launch:
    """What to run, as whom, and the signal that is enough if the owner itself was killed."""

    command: Sequence[str]
    environment: Mapping[str, str]
    user: str | None = None
    orphan_signal: int = signal.SIGKILL


class Server:
    """A process in a session of its own: a Ctrl-C in the terminal reaches its owner and not it."""

    def __init__(self, name: str, epmd_port: int = 0) -> None:
        # Not the TMPDIR of the day: a broker's tools behind a prefix may share /tmp alone.
        self.folder = Path(tempfile.mkdtemp(prefix=f"heroes-{name}-", dir="/tmp"))
        self.log = self.folder / "server.log"
        self._name = name
        self._process: subprocess.Popen[bytes] | None = None
        self._guardian = subprocess.Popen(  # noqa: S603 - our own command line, no shell
            [sys.executable, "-I", "-S", guardian.__file__, str(self.folder), str(epmd_port)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Of the process that was spawned, which leads the group."""
        if self._process is None:
            raise LocalServicesError(f"The private {self._name} is not running: start it first.")
        return self._process.pid

    def spawn(self, launch: Launch) -> None:
        """The process runs, its output appended to the log, watched by the guardian."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command line, no shell
                launch.command,
                env=dict(launch.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                user=launch.user,
                extra_groups=[] if launch.user else None,
                start_new_session=True,
            )
        self._tell(f"watch {self._process.pid} {int(launch.orphan_signal)}")

    def wait_ready(self, ready: Callable[[], bool], timeout_seconds: float) -> None:
        """Raises: LocalServicesError with the log's end if the server ends, or is not ready in time."""
        deadline = time.monotonic() + timeout_seconds
        while not ready():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                what = "ended while it started" if ended else f"was not ready within {timeout_seconds:.0f} s"
                raise LocalServicesError(f"The private {self._name} {what}; its log ends with:\n{self.log_end()}")
            time.sleep(0.05)

    def stop(self, polite: Callable[[int], None]) -> None:
        """The process group is gone: asked politely, killed after 15 s. A server that doesn't run is fine."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            polite(self._process.pid)
        try:
            self._process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:  # also at a second Ctrl-C
            self.kill()

    def kill(self, grace_seconds: float = 0) -> None:
        """The process group is gone by SIGKILL; the folder stays, so that the server can be started on it again."""
        if self._process is None:
            return
        group = self._process.pid
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        self._process.wait()
        self._process = None
        _wait_until_empty(group)
        self._tell(f"forget {group}")

    def close(self) -> None:
        """The folder and the guardian are gone. Stop or kill first."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._guardian.communicate()

    def log_end(self) -> str:
        """The last lines of what the server said."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-LOG_LINES_SHOWN:])

    def _tell(self, line: str) -> None:
        if (pipe := self._guardian.stdin) is not None:
            with contextlib.suppress(BrokenPipeError):  # a killed guardian is no reason to leave a server running
                pipe.write(f"{line}\n".encode())
                pipe.flush()


def _wait_until_empty(group: int) -> None:
    """Helpers of a killed server are orphans that init reaps; where nothing reaps, don't wait for their zombies."""
    deadline = time.monotonic() + 1
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.01)
