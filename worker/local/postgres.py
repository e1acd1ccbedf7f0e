"""A private PostgreSQL server that can be started, stopped and killed.

Invariant: durability stays as in production (fsync, synchronous_commit), and after close() nothing of it is left.
"""

import contextlib
import importlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from types import TracebackType
from typing import Any, Self

from worker.local.errors import LocalServicesError
from worker.local.postgres_programs import postgres_programs, reachable_by_anyone
from worker.local.probes import database_answers, free_ports
from worker.local.server import Launch, Server

START_TIMEOUT_SECONDS = 60.0
USER = "heroes"
UNPRIVILEGED_USER = "nobody"  # PostgreSQL refuses to run as root
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "dynamic_shared_memory_type": "mmap",  # in the data folder, so that a killed server leaves nothing in /dev/shm
}


class PrivatePostgres:
    """A server on loopback. stop() and kill() keep its data and port for the next start(); close() ends it for good."""

    def __init__(self) -> None:
        programs = postgres_programs()
        self._user = UNPRIVILEGED_USER if os.geteuid() == 0 else None
        self._port = free_ports(1)[0]
        self._password = secrets.token_hex(16)
        self._server = Server("postgres")
        self._data = self._server.folder / "data"
        with contextlib.ExitStack() as undo:
            undo.callback(self._server.close)
            if self._user:
                shutil.chown(self._server.folder, self._user)
                programs = reachable_by_anyone(programs, self._server.folder / "programs")
            self._programs = programs
            self._initialize()
            undo.pop_all()

    @property
    def url(self) -> str:
        """With the password; the same after a restart."""
        return f"postgresql+asyncpg://{USER}:{self._password}@127.0.0.1:{self._port}/postgres"

    @property
    def pid(self) -> int:
        """Of the postmaster."""
        return self._server.pid

    def start(self) -> None:
        """The server takes connections. Raises: LocalServicesError if it doesn't within 60 s."""
        settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
        command = [str(self._programs / "postgres"), "-D", str(self._data), f"--port={self._port}", *settings]
        # SIGQUIT ends all of its processes at once and frees their shared memory; SIGKILL would leave both.
        self._server.spawn(Launch(command, os.environ, self._user, signal.SIGQUIT))
        self._server.wait_ready(lambda: database_answers(self.url), START_TIMEOUT_SECONDS)

    def stop(self) -> None:
        """The server has shut down cleanly, whoever was connected, or was killed after 15 s."""
        self._server.stop(lambda pid: os.kill(pid, signal.SIGINT))

    def kill(self) -> None:
        """All of its processes are gone by SIGKILL, as in a crash; each leads a group of its own."""
        psutil = importlib.import_module("psutil")  # comes with the wheel
        postmaster = psutil.Process(self.pid)
        postmaster.suspend()  # no new children from here on
        children = postmaster.children(recursive=True)
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        self._server.kill()
        _wait_until_dead(children)

    def close(self) -> None:
        """Nothing of the server is left."""
        try:
            self.stop()
        finally:
            self._server.close()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:  # also a Ctrl-C while it starts must leave nothing running
            undo.callback(self.close)
            self.start()
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _initialize(self) -> None:
        password_file = self._server.folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password)
        if self._user:
            shutil.chown(password_file, self._user)
        options = [
            f"--username={USER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--no-locale",
        ]
        done = subprocess.run(  # noqa: S603 - our own command line, no shell
            [str(self._programs / "initdb"), "-D", str(self._data), *options],
            user=self._user,
            extra_groups=[] if self._user else None,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise LocalServicesError(f"PostgreSQL's initdb failed: {done.stderr.strip()[-500:]}")


def _wait_until_dead(children: list[Any]) -> None:
    """They hold the shared memory that the next start needs. Dead is enough: not everywhere are orphans reaped."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not any(child.is_running() and child.status() != "zombie" for child in children):
            return
        time.sleep(0.01)
