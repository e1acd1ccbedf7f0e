"""Brings a worker for the demonstration: `heroes setup`, then `heroes worker` as a process of its own.

Invariant: the worker sees none of this machine's HEROES_ variables, and ends with whoever started it.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from worker.local.demo_promise import require
from worker.local.demo_screen import Screen
from worker.local.server import Launch, Server
from worker.local.ways import DATABASE_VARIABLE, RABBITMQ_VARIABLE

WORKER_ID = "demo"
READY_TIMEOUT_SECONDS = 30.0
_SHUTDOWN_TIMEOUT_SECONDS = 10  # less than a local server is given to stop in
_HEALTH = re.compile(r"http://\S+/readyz")


def environment(rabbitmq_url: str, database_url: str) -> dict[str, str]:
    """This process's variables, with the worker's settings in place of any that were there."""
    own = {
        RABBITMQ_VARIABLE: rabbitmq_url,
        DATABASE_VARIABLE: database_url,
        "HEROES_HTTP_PORT": "0",
        "HEROES_WORKER_ID": WORKER_ID,
        "HEROES_LOG_FORMAT": "console",
        "HEROES_SHUTDOWN_TIMEOUT_SECONDS": str(_SHUTDOWN_TIMEOUT_SECONDS),
    }
    return {name: value for name, value in os.environ.items() if not name.startswith("HEROES_")} | own


def heroes(*arguments: str) -> list[str]:
    """The command line of the `heroes` program that stands beside this Python."""
    return [str(Path(sys.executable).with_name("heroes")), *arguments]


def set_up(environ: Mapping[str, str]) -> None:
    """`heroes setup` has prepared the broker and the database."""
    done = subprocess.run(  # noqa: S603 - our own command line, no shell
        heroes("setup"), env=dict(environ), capture_output=True, text=True, check=False
    )
    require(done.returncode == 0, f"heroes setup prepares both services; it ended with:\n{done.stderr.strip()}")


class DemoWorker:
    """`with DemoWorker(environ, screen) as worker`: it takes commands; its log is shown if anything goes wrong."""

    def __init__(self, environ: Mapping[str, str], screen: Screen) -> None:
        self._environ = environ
        self._screen = screen
        self._server = Server("worker")

    def __enter__(self) -> Self:
        """Raises: LocalServicesError with the end of its log if it doesn't become ready."""
        try:
            self._server.spawn(Launch(heroes("worker"), self._environ, orphan_signal=signal.SIGTERM))
            self._server.wait_ready(self._is_ready, READY_TIMEOUT_SECONDS)
        except BaseException:  # also a Ctrl-C must leave nothing running
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and issubclass(kind, Exception):
            self._screen.log("worker", self._server.log_end())
        self._end()

    @property
    def health_url(self) -> str:
        """Where it tells whether it is ready; empty until it has said so."""
        found = _HEALTH.search(self._log())
        return found[0] if found else ""

    def leave(self) -> None:
        """The worker was asked to go and went, with everything in hand finished."""
        self._server.stop(lambda pid: os.kill(pid, signal.SIGTERM))
        require("left: everything in hand is finished" in self._log(), "the worker finishes what it has in hand")

    def _is_ready(self) -> bool:
        try:
            with httpx.Client(trust_env=False, timeout=1) as client:
                return bool(self.health_url) and client.get(self.health_url).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def _log(self) -> str:
        return self._server.log.read_text(errors="replace")

    def _end(self) -> None:
        try:
            self._server.stop(lambda pid: os.kill(pid, signal.SIGTERM))
        finally:
            self._server.close()
