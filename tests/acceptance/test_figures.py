"""What a worker's pages tell is what happens: at work, at rest, without a queue, and while it starts."""

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from contracts.channels import SLOTS, command_queues
from contracts.envelope import Command
from tests.harness.commands import create, delete, raw_create
from tests.harness.program import Program, heroes, working
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire
from worker.local.probes import free_ports
from worker.operations import prepare

CONTRACT = Path(__file__).parents[2] / "contracts" / "asyncapi.json"


@dataclass(frozen=True, slots=True)
class Site:
    """A worker's pages."""

    url: str
    client: httpx.AsyncClient

    async def get(self, path: str) -> httpx.Response:
        """The answer, whatever it is."""
        return await self.client.get(f"{self.url}{path}")

    async def figures(self) -> "Figures":
        """A scrape."""
        answer = await self.get("/metrics")
        assert answer.status_code == 200
        return Figures.of(answer.text)


@dataclass(frozen=True, slots=True)
class Figures:
    """One scrape, read by the library's own parser."""

    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str) -> "Figures":
        """What stands in this text."""
        return cls(
            {
                (sample.name, frozenset(sample.labels.items())): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }
        )

    def __call__(self, name: str, **labels: str) -> float:
        return self.samples.get((name, frozenset(labels.items())), 0.0)


@asynccontextmanager
async def site_of(program: Program) -> AsyncIterator[Site]:
    """The pages of a worker that is ready."""
    url = (await program.ready()).removesuffix("/readyz")
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        yield Site(url, client)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def site(stage: Stage) -> AsyncIterator[Site]:
    """One worker in a process of its own for most tests."""
    async with working(stage) as program, site_of(program) as pages:
        yield pages


def _wrong_slot(command: Command) -> str:
    return f"{(int(command.routing_key) + 1) % SLOTS:02d}"


async def test_each_way_to_be_settled_is_counted_under_its_name(site: Site, stage: Stage, wire: Wire) -> None:
    before = await site.figures()
    created, astray = create(), create()
    await wire.outcome(created)
    await eventually(lambda: stage.is_published(created.id), "the row is marked")
    await wire.send(created)
    await wire.publish(astray.to_json(), _wrong_slot(astray))
    await wire.publish(astray.to_json(), "no slot")
    await wire.outcome(delete(999_999))
    await wire.publish(json.dumps(raw_create(type="hero.rename")).encode())
    await wire.publish(json.dumps(raw_create(type="hero.create", data={})).encode())

    async def grown(name: str, **labels: str) -> float:
        return (await site.figures())(name, **labels) - before(name, **labels)

    async def all_settled() -> bool:
        return await grown("worker_step_seconds_count", step="settle") == 7

    await eventually(all_settled, "seven settlements")
    total = "worker_commands_total"
    assert await grown(total, type="hero.create", settlement="applied") == 2
    assert await grown(total, type="hero.create", settlement="duplicate") == 2
    assert await grown(total, type="hero.delete", settlement="rejected") == 1
    assert await grown(total, type="unknown", settlement="dead_lettered") == 1
    assert await grown(total, type="hero.create", settlement="dead_lettered") == 1
    assert await grown("worker_dead_letters_total", reason="unknown_type") == 1
    assert await grown("worker_dead_letters_total", reason="invalid_command") == 1
    assert await grown("worker_misrouted_total") == 1
    assert await grown("worker_events_published_total", type="hero.created") == 2
    assert await grown("worker_events_published_total", type="hero.command_rejected") == 1
    for step in ("wait_turn", "decide", "publish"):
        assert await grown("worker_step_seconds_count", step=step) == 7
    assert await grown("worker_queue_age_seconds_count") == 7
    assert await grown("worker_confirm_seconds_count") >= 7


async def test_what_a_worker_at_rest_serves_is_complete_and_calm(site: Site) -> None:
    figures = await site.figures()
    assert figures("worker_queues_attached") == figures("worker_queues_expected") == len(command_queues()) + 1
    assert figures("worker_pool_size") == 16
    for name in ("worker_in_flight", "worker_lanes_waiting", "worker_gate_closed", "worker_pool_in_use"):
        assert figures(name) == 0, name
    ready = {dict(labels)["part"]: value for (name, labels), value in figures.samples.items() if name == "worker_ready"}
    assert ready == dict.fromkeys(("worker", "commands", "publishing", "gate", "database", "schema", "topology"), 1)
    assert figures("process_resident_memory_bytes") > 0


async def test_the_contract_is_served_as_it_stands_in_the_repository(site: Site) -> None:
    answer = await site.get("/asyncapi")
    assert answer.json() == json.loads(CONTRACT.read_bytes())


async def test_the_bare_address_leads_to_the_page_for_eyes(site: Site) -> None:
    answer = await site.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/ops")


async def test_it_is_not_ready_while_a_queue_is_gone_and_names_it(site: Site, stage: Stage, wire: Wire) -> None:
    gone = command_queues()[3]
    await wire.channel.queue_delete(gone)

    async def is_named() -> bool:
        answer = await site.get("/readyz")
        return answer.status_code == 503 and gone in answer.json()["commands"]

    await eventually(is_named, f"{gone} is named")
    figures = await site.figures()
    assert figures("worker_queues_attached") == figures("worker_queues_expected") - 1
    assert figures("worker_ready", part="commands") == 0
    await prepare.prepare_broker(stage.settings())
    await eventually(lambda: _is_ready(site), "ready again")


async def _is_ready(site: Site) -> bool:
    return (await site.get("/readyz")).status_code == 200


async def test_while_it_starts_it_lives_and_is_not_ready(stage: Stage) -> None:
    (port,) = free_ports(1)
    away = f"amqp://guest:guest@127.0.0.1:{port}/"
    async with heroes(stage.environment(HEROES_RABBITMQ_URL=away), "worker") as program:
        line = await program.said("/readyz")
        await program.said("waiting for RabbitMQ")
        url = json.loads(line)["event"].removeprefix("health at ").removesuffix("/readyz")
        async with httpx.AsyncClient(trust_env=False) as client:
            pages = Site(url, client)
            assert (await pages.get("/livez")).status_code == 200
            answer = await pages.get("/readyz")
            assert (answer.status_code, answer.json()["worker"]) == (503, "it is still starting")
            assert (await pages.figures())("worker_ready", part="worker") == 0
        program.tell(signal.SIGTERM)
        assert await program.ended() == 0
