"""However long an outage lasts, the broker's own patience with its consumers does not use up the delivery limit."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from contracts.envelope import Command
from tests.harness.broker_outages import own_rabbitmq
from tests.harness.commands import create
from tests.harness.ledger import announced, everything_heard, send_all
from tests.harness.outages import OUTAGES, Site
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire
from tests.harness.workers import tidy_worker
from worker.app import Worker
from worker.local.postgres import PrivatePostgres
from worker.local.rabbitmq import PrivateRabbitMQ
from worker.operations import prepare

pytestmark = pytest.mark.fault

LIMIT, CONSUMER_TIMEOUT_SECONDS, RELEASE_SECONDS, AWAY_SECONDS = 2, 3, 1, 20


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A PostgreSQL that nobody else uses."""
    with PrivatePostgres() as postgres:
        yield Site(postgres, postgres.url)


@pytest.fixture(scope="module")
def impatient() -> Iterator[PrivateRabbitMQ]:
    """A broker that takes back what a consumer holds for 3 s, and looks every second; it hands out three times."""
    with own_rabbitmq() as broker:
        broker.control("eval", f"application:set_env(rabbit, consumer_timeout, {CONSUMER_TIMEOUT_SECONDS * 1000}).")
        broker.control("eval", "application:set_env(rabbit, channel_tick_interval, 1000).")
        limit = f'{{"delivery-limit":{LIMIT}}}'
        broker.control("set_policy", "-p", "heroes", "--apply-to", "queues", "limit", r"^heroes\.commands", limit)
        yield broker


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(impatient: PrivateRabbitMQ, site: Site) -> AsyncIterator[Stage]:
    """Both, prepared."""
    stage = Stage(impatient.url, site.database_url)
    await asyncio.gather(prepare.prepare_database(stage.settings()), prepare.prepare_broker(stage.settings()))
    yield stage


async def _outlast(site: Site, *workers: Worker, outage: str = "stopped") -> None:
    """An outage that is many times longer than the broker is patient; all workers notice it."""

    async def all_know() -> bool:
        return all(worker.gate.closed_because for worker in workers)

    async with OUTAGES[outage](site):
        await eventually(all_know, "every worker's gate is closed")
        over = asyncio.get_running_loop().time() + AWAY_SECONDS

        async def is_over() -> bool:
            return asyncio.get_running_loop().time() >= over

        await eventually(is_over, "the outage has lasted")


@pytest.mark.parametrize("outage", ["stopped", "table missing"])
async def test_an_outage_of_many_consumer_time_outs_dead_letters_nothing(
    stage: Stage, wire: Wire, site: Site, outage: str
) -> None:
    commands: list[Command] = [create(name=f"Long {number}") for number in range(100)]
    async with (
        tidy_worker(stage, worker_id="one", outage_release_seconds=RELEASE_SECONDS) as one,
        tidy_worker(stage, worker_id="two", outage_release_seconds=RELEASE_SECONDS) as two,
    ):
        await wire.outcome(create(name="First"))
        sending = asyncio.create_task(send_all(wire, commands))
        await _outlast(site, one, two, outage=outage)
        await sending
        await announced(wire, commands)
    ledger = await everything_heard(wire)
    assert {command.id for command in commands} <= ledger.ids_of.keys()
    ledger.assert_one_content_each()
    assert wire.letters == []


async def test_without_letting_go_the_broker_would_set_them_aside(
    stage: Stage, wire: Wire, site: Site, impatient: PrivateRabbitMQ
) -> None:
    """The control: that outage is long enough to do harm, where a time-out counts as a delivery at all."""
    version = impatient.control("eval", "rabbit_misc:version().").strip().strip('"')
    if version >= "4.3":
        pytest.skip(f"RabbitMQ {version} does not count a consumer time-out")
    commands: list[Command] = [create(name=f"Held {number}") for number in range(20)]
    async with tidy_worker(stage, worker_id="one", outage_release_seconds=3600) as one:
        await wire.outcome(create(name="First"))
        sending = asyncio.create_task(send_all(wire, commands))
        await _outlast(site, one)
        await sending
    assert len(wire.letters) > 0
    assert {letter.headers["x-first-death-reason"] for letter in wire.letters} == {"delivery_limit"}
