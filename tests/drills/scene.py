"""Where a drill plays: a worker, a publisher that goes on, a Prometheus, and an operator's shell; all of it real."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.drills.prometheus import prometheus
from tests.drills.screen import Screen
from tests.drills.shell import Shell
from tests.drills.traffic import Traffic
from tests.drills.watch import Watch
from tests.faults.services import Broker, Database, Servers
from tests.faults.workers import prepare
from tests.harness.program import Program, heroes, started
from tests.harness.stage import Stage
from worker.local.probes import free_ports

WORKER_ID = "worker-7"


@dataclass(slots=True)
class Scene:
    """`worker` is the one that runs, or ran last."""

    screen: Screen
    broker: Broker
    database: Database
    stage: Stage
    shell: Shell
    traffic: Traffic
    watch: Watch
    worker: Program
    folder: Path
    _port: int
    _programs: AsyncExitStack

    @classmethod
    @asynccontextmanager
    async def ready(cls, servers: Servers, screen: Screen, folder: Path, *worker: str) -> AsyncIterator["Scene"]:
        """The worker takes commands, the publisher sends, no alert is there. At the end nothing of it runs."""
        broker, database, services = servers
        async with AsyncExitStack() as stack:
            stage = Stage(
                stack.enter_context(services.virtual_host("drill")), stack.enter_context(services.database("drill"))
            )
            await prepare(stage.rabbitmq_url, stage.database_url)
            (port,) = free_ports(1)
            screen.instead = {**_instead(broker, stage, port), f"{folder}/": ""}
            programs = await stack.enter_async_context(AsyncExitStack())
            first = await programs.enter_async_context(_worker(stage, port, *worker))
            site = f"http://127.0.0.1:{port}"
            targets = dict.fromkeys(("rabbitmq", "rabbitmq-queues"), broker.metrics)
            targets["heroes-worker"] = f"127.0.0.1:{port}"
            address = await stack.enter_async_context(prometheus(targets, _host(stage), folder))
            watch = await stack.enter_async_context(Watch.over(screen, site, address))
            traffic = await stack.enter_async_context(Traffic.to(stage.rabbitmq_url))
            shell = Shell(screen, broker, stage, services.management_url, site)
            await watch.all_clear()
            yield cls(screen, broker, database, stage, shell, traffic, watch, first, folder, port, programs)

    async def start_worker(self, *program: str) -> None:
        """Another one runs in the place of the last, which has ended."""
        self.screen.says("(a worker is started)")
        self.worker = await self._programs.enter_async_context(_worker(self.stage, self._port, *program))

    def log(self, text: str, most: int = 1) -> None:
        """The last lines of the worker's log with this text."""
        found = [line for line in self.worker.lines if text in line]
        self.screen.typed(f"grep '{text}' worker.log | tail -{most}", found[-most:])

    async def waiting(self) -> dict[str, int]:
        """How many messages are in each queue that a worker or an operator empties, handed out ones included."""
        host = _host(self.stage)
        listed = await asyncio.to_thread(self.broker.control, "-q", "list_queues", "-p", host, "name", "messages")
        pairs = (line.split() for line in listed.splitlines() if line.startswith("heroes."))
        return {name: int(messages) for name, messages in pairs if name != "heroes.events.log"}


@asynccontextmanager
async def _worker(stage: Stage, port: int, *program: str) -> AsyncIterator[Program]:
    settings = {"HEROES_HTTP_PORT": str(port), "HEROES_WORKER_ID": WORKER_ID}
    environment = stage.environment(**settings)
    running = started(environment, *program) if program else heroes(environment, "worker")
    async with running as worker:
        await worker.said("takes commands")
        yield worker


def _host(stage: Stage) -> str:
    return urlsplit(stage.rabbitmq_url).path[1:]


def _instead(broker: Broker, stage: Stage, port: int) -> dict[str, str]:
    return {
        f"127.0.0.1:{port}": "localhost:8080",
        f"127.0.0.1:{urlsplit(stage.rabbitmq_url).port}": "rabbitmq:5672",
        f"127.0.0.1:{urlsplit(stage.database_url).port}": "postgres:5432",
        f"{broker.metrics}": "rabbitmq:15692",
        broker.node: "rabbit@rabbitmq",
        _host(stage): "heroes",
        urlsplit(stage.database_url).path[1:]: "heroes",
        f"{os.getpid()}": "…",
    }
