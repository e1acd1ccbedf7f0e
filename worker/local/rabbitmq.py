"""A private RabbitMQ node that can be started, stopped and killed.

Invariant: after close() no process of it runs, not even its port mapper, and its folder is gone.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from worker.local.errors import LocalServicesError
from worker.local.guardian import stop_epmd
from worker.local.node import Node
from worker.local.probes import broker_answers
from worker.local.server import Launch, Server
from worker.local.tools import broker_tools

START_TIMEOUT_SECONDS = 60.0
TOOL_TIMEOUT_SECONDS = 60.0


class PrivateRabbitMQ:
    """A node on loopback. stop() and kill() keep its data and ports for the next start(); close() ends it for good."""

    def __init__(self, environ: Mapping[str, str] = os.environ, say: Callable[[str], None] = lambda _: None) -> None:
        self._tools = broker_tools(environ, say)
        self._node = Node.fresh()
        self._server = Server("rabbitmq", self._node.epmd_port)
        self._node.write_files(self._server.folder)
        self._environment = self._node.environment(self._server.folder)

    @property
    def url(self) -> str:
        """AMQP, with the password; the same after a restart."""
        return self._node.url

    @property
    def management_url(self) -> str:
        """The management API, with the password; the same after a restart."""
        return self._node.management_url

    @property
    def pid(self) -> int:
        """Of the Erlang VM itself; the process that we spawned is a shell around it."""
        return int((self._server.folder / "pid").read_text())

    def start(self) -> None:
        """The node takes connections."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """The node is on its way up; other work may be done until wait_ready()."""
        self._server.spawn(Launch(self._tools.command("rabbitmq-server"), self._environment))

    def wait_ready(self) -> None:
        """Raises: LocalServicesError if the node isn't ready within 60 s."""
        self._server.wait_ready(lambda: broker_answers(self.url, self.management_url), START_TIMEOUT_SECONDS)

    def stop(self) -> None:
        """The node has shut down cleanly, or was killed after 15 s."""
        self._server.stop(lambda group: os.killpg(group, signal.SIGTERM))
        stop_epmd(self._node.epmd_port)

    def kill(self) -> None:
        """The node is gone by SIGKILL, as in a crash."""
        # The VM before the shell around it: so the shell reaps it, also where nothing reaps orphans.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._server.kill(grace_seconds=1)
        stop_epmd(self._node.epmd_port)

    def close(self) -> None:
        """Nothing of the node is left. Its data go, so it is spared the seconds that a clean shutdown takes."""
        try:
            self.kill()
        finally:
            self._server.close()

    def control(self, *arguments: str) -> str:
        """What `rabbitmqctl ARGUMENTS` printed. Raises: LocalServicesError with its error output if it fails."""
        done = subprocess.run(  # noqa: S603 - our own command line, no shell
            [*self._tools.command("rabbitmqctl"), *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=TOOL_TIMEOUT_SECONDS,
            check=False,
        )
        if done.returncode:
            raise LocalServicesError(f"rabbitmqctl {arguments[0]} failed: {done.stderr.strip()[-500:]}")
        return done.stdout

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
