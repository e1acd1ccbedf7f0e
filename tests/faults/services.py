"""A RabbitMQ and a PostgreSQL that may be killed, for all runs, and what can be done to each."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psutil

from worker.local.postgres import PrivatePostgres
from worker.local.rabbitmq import PrivateRabbitMQ
from worker.local.services import Services

RUNBOOK = Path(__file__).parents[2] / "docs" / "runbook.md"
WITH_PRIORITIES = (4, 0)


class Database(PrivatePostgres):
    """Can also be ended at once and be frozen."""

    def stop_immediately(self) -> None:
        """Every process ends where it stands (`pg_ctl stop -m immediate`)."""
        self._server.stop(lambda pid: os.kill(pid, signal.SIGQUIT))

    def freeze(self) -> None:
        """No process of it runs, and all sockets stay."""
        postmaster = psutil.Process(self.pid)
        postmaster.suspend()  # first: no new children from here on
        for child in postmaster.children(recursive=True):
            child.suspend()

    def thaw(self) -> None:
        """All of them run on. It may have been running all the time."""
        postmaster = psutil.Process(self.pid)
        for one in (*postmaster.children(recursive=True), postmaster):
            one.resume()


class Broker(PrivateRabbitMQ):
    """Can also raise a memory alarm and turn everybody out."""

    def version(self) -> tuple[int, ...]:
        """Like (3, 10, 8)."""
        found = re.search(r"(\d+)\.(\d+)\.(\d+)", self.control("version"))
        assert found, "rabbitmqctl tells its version"
        return tuple(map(int, found.groups()))

    @property
    def metrics(self) -> str:
        """Where Prometheus scrapes it."""
        return f"127.0.0.1:{self._node.prometheus_port}"

    @property
    def node(self) -> str:
        """The node's name."""
        return self._node.name

    def alarm(self) -> None:
        """No connection that publishes is read any more."""
        self.control("set_vm_memory_high_watermark", "0.000001")

    def calm(self) -> None:
        """The alarm is over."""
        self.control("set_vm_memory_high_watermark", "0.4")

    def free_ghosts(self) -> int:
        """Dead consumers that the broker still counts are gone, by the runbook's recipe; how many that were."""
        recipe = re.search(r"rabbitmqctl eval '(.+?)'\n", RUNBOOK.read_text(encoding="utf-8"))
        assert recipe, "the runbook has the recipe"
        return self.control("eval", recipe.group(1)).count("<rabbit") if self.version() >= WITH_PRIORITIES else 0

    def close_all(self, virtual_host: str) -> None:
        """Every connection was closed by the broker, politely."""
        self.control("close_all_connections", "--vhost", virtual_host, "fault")


Servers = tuple[Broker, Database, Services]


@contextmanager
def killable_services() -> Iterator[Servers]:
    """Both run. Raises: LocalServicesError where private services can't be had."""
    with ExitStack() as stack:
        broker = stack.enter_context(closing(Broker()))
        broker.launch()
        database = stack.enter_context(closing(Database()))
        database.start()
        broker.wait_ready()
        yield broker, database, Services(broker.url, database.url, broker.management_url, "private")
