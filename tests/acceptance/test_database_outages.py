"""While PostgreSQL is away, whatever the way, commands wait where they are: it costs time, and nothing else."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from aio_pika import IncomingMessage
from aiormq.abc import DeliveredMessage

from contracts.envelope import Command
from tests.harness.cable import Cable
from tests.harness.commands import create
from tests.harness.ledger import announced, delivery_count, everything_heard, send_all
from tests.harness.outages import OUTAGES, PASSWORD, ROLE, Site
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire
from tests.harness.workers import tidy_worker
from worker.local.postgres import PrivatePostgres
from worker.local.services import Services
from worker.messaging.delivery import Delivery
from worker.messaging.intake import Intake
from worker.operations import prepare
from worker.persistence import gate

WATCHED_SECONDS, MOST_CPU, CUTS = 2.0, 0.25, 20


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A PostgreSQL that nobody else uses."""
    with PrivatePostgres() as postgres:
        yield Site(postgres, postgres.url)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(services: Services, site: Site) -> AsyncIterator[Stage]:
    """The topology in the common broker; the tables in that PostgreSQL, and a role that may use them and no more."""
    with services.virtual_host("outages") as rabbitmq_url:
        owner = Stage(rabbitmq_url, site.database_url).settings()
        await asyncio.gather(prepare.prepare_database(owner), prepare.prepare_broker(owner))
        await site.execute(
            f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {ROLE}",
        )
        address = urlsplit(site.database_url)
        host = address.netloc.rpartition("@")[2]
        yield Stage(rabbitmq_url, address._replace(netloc=f"{ROLE}:{PASSWORD}@{host}").geturl())


@dataclass(frozen=True, slots=True)
class Seen:
    """The delivery count of everything that arrived, and what the gate has said."""

    caplog: pytest.LogCaptureFixture
    counts: list[int] = field(default_factory=list)

    @property
    def about_the_gate(self) -> list[str]:
        """The beginnings of its lines."""
        said = [record.getMessage() for record in self.caplog.records if record.name == "worker.persistence.gate"]
        return [line.split(":")[0].split(" after")[0] for line in said]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Seen:
    """What a test can see of a worker in its own process."""
    caplog.set_level(logging.INFO)
    seen = Seen(caplog)
    arrive = Intake.arrive

    def spy(intake: Intake, message: DeliveredMessage, queue: str) -> Delivery:
        seen.counts.append(delivery_count(IncomingMessage(message)))
        return arrive(intake, message, queue)

    monkeypatch.setattr(Intake, "arrive", spy)
    return seen


async def _cpu_share() -> float:
    """How busy this process is, the worker in it: the part of a core that it takes."""
    started, cpu = time.monotonic(), time.process_time()
    await eventually(_later_than(started + WATCHED_SECONDS), "some time has passed")
    return (time.process_time() - cpu) / (time.monotonic() - started)


def _later_than(moment: float) -> Any:
    async def later() -> bool:
        return time.monotonic() >= moment

    return later


async def _assert_each_applied_once(stage: Stage, wire: Wire, commands: list[Command]) -> None:
    ledger = await everything_heard(wire)
    assert {command.id for command in commands} <= ledger.ids_of.keys()
    ledger.assert_one_event_each([command for command in commands if command.id in ledger.ids_of])
    ledger.assert_one_content_each()
    assert wire.letters == []
    names = [row["name"] for row in await stage.rows("SELECT name FROM hero")]
    assert sorted(command.data.name for command in commands) == sorted(
        name for name in names if name.startswith(commands[0].data.name.partition(" /")[0] + " /")
    )


# What stands first is tried in every run, the rest by `make faults`.
_ALWAYS = ("killed", "frozen", "table missing")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in _ALWAYS else pytest.mark.fault) for name in OUTAGES]
)
async def test_an_outage_costs_time_and_nothing_else(
    name: str, stage: Stage, wire: Wire, site: Site, seen: Seen
) -> None:
    commands: list[Command] = [create(name=f"{name} / {number}") for number in range(90)]
    async with tidy_worker(stage, statement_timeout_seconds=1) as worker:
        await send_all(wire, commands[:30])
        await announced(wire, commands[:30])

        async def is_closed() -> bool:
            return worker.gate.closed_because is not None

        async with OUTAGES[name](site):
            await send_all(wire, commands[30:])
            await eventually(is_closed, "the gate is closed")
            assert (await worker.problems())["gate"] is not None
            assert await _cpu_share() < MOST_CPU
            assert await is_closed(), "it does not open before its time"
        await announced(wire, commands)
        assert (await worker.problems())["gate"] is None

    await _assert_each_applied_once(stage, wire, commands)
    assert set(seen.counts) == {0}
    assert seen.about_the_gate == ["gate closed", "gate open"]


@pytest.mark.parametrize("name", ["stopped", pytest.param("disk full", marks=pytest.mark.fault)])
async def test_a_long_outage_raises_the_delivery_count_once_whether_a_probe_can_see_it_or_not(
    name: str, stage: Stage, wire: Wire, site: Site, seen: Seen
) -> None:
    commands: list[Command] = [create(name=f"long {name} / {number}") for number in range(40)]
    async with tidy_worker(stage, outage_release_seconds=1) as worker:
        async with OUTAGES[name](site):
            await send_all(wire, commands)

            async def is_released() -> bool:
                return worker.intake.is_released

            await eventually(is_released, "the commands have gone back")
            await _cpu_share()  # many times as long as it takes to let go
        await announced(wire, commands)
    await _assert_each_applied_once(stage, wire, commands)
    assert max(seen.counts) == 1


async def test_a_worker_without_work_knows_of_an_outage_too(
    stage: Stage, wire: Wire, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "_WATCH_SECONDS", 0.5)
    async with tidy_worker(stage) as worker:

        async def is_closed() -> bool:
            return worker.gate.closed_because is not None

        async def is_open() -> bool:
            return worker.gate.closed_because is None

        async with OUTAGES["killed"](site):
            await eventually(is_closed, "the gate is closed")
        await eventually(is_open, "the gate is open")
        await wire.outcome(create())


@pytest.mark.parametrize("answered", [False, True], ids=["before the server hears it", "when it is done"])
async def test_a_connection_cut_in_the_middle_of_a_commit_leaves_no_doubt(
    stage: Stage, wire: Wire, answered: bool
) -> None:
    """The worker can't know whether it was committed; the inbox does."""
    when = "after" if answered else "before"
    commands: list[Command] = [create(name=f"{when} / {number}") for number in range(CUTS)]
    async with Cable.to(stage.database_url) as cable, tidy_worker(replace(stage, database_url=cable.url)):
        for command in commands:
            cut = cable.cut_when_said(b"COMMIT", answered=answered)
            await wire.send(command)
            await asyncio.wait_for(cut.wait(), 10)
            await announced(wire, [command])
    await _assert_each_applied_once(stage, wire, commands)
