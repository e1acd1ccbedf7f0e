"""Ten thousand calls at once, and a broker that dies under two thousand: each call ends, each effect is there once."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from statistics import quantiles
from time import perf_counter

import pytest
import pytest_asyncio

from contracts.client import HeroesClient, NotConfirmedError, OutcomeTimeoutError
from contracts.heroes import HeroCreated
from tests.harness.broker_outages import own_rabbitmq
from tests.harness.program import working
from tests.harness.stage import Stage, eventually
from worker.local.rabbitmq import PrivateRabbitMQ
from worker.local.services import Services
from worker.operations import prepare

pytestmark = pytest.mark.fault

CALLS_AT_ONCE, CALLS_UNDER_FIRE, PATIENCE_SECONDS = 10_000, 2_000, 240


@pytest.fixture(scope="module")
def broker() -> Iterator[PrivateRabbitMQ]:
    """One that may be killed."""
    with own_rabbitmq() as broker:
        yield broker


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(services: Services, broker: PrivateRabbitMQ) -> AsyncIterator[Stage]:
    """That broker, and tables of our own."""
    with services.database("calls") as database_url:
        stage = Stage(broker.url, database_url)
        await asyncio.gather(prepare.prepare_database(stage.settings()), prepare.prepare_broker(stage.settings()))
        yield stage


async def test_ten_thousand_creates_at_once_each_get_their_own_outcome(stage: Stage) -> None:
    took_seconds: list[float] = []

    async def call(client: HeroesClient, number: int) -> HeroCreated:
        began = perf_counter()
        event = await client.create(name=f"crowd {number}", secret_name="s")
        took_seconds.append(perf_counter() - began)
        return event

    async with (
        working(stage) as worker,
        HeroesClient(stage.rabbitmq_url, timeout_seconds=PATIENCE_SECONDS, in_flight=CALLS_AT_ONCE) as client,
    ):
        await worker.ready()
        events = await asyncio.gather(*(call(client, number) for number in range(CALLS_AT_ONCE)))
    assert [event.data.hero.name for event in events] == [f"crowd {number}" for number in range(CALLS_AT_ONCE)]
    assert len({event.data.hero.id for event in events}) == CALLS_AT_ONCE
    hundredths = quantiles(took_seconds, n=100)
    print(f"\n{CALLS_AT_ONCE} calls: p50 {hundredths[49]:.1f} s, p99 {hundredths[98]:.1f} s")


async def test_a_broker_killed_under_two_thousand_calls_leaves_none_without_an_end_and_doubles_no_effect(
    stage: Stage, broker: PrivateRabbitMQ
) -> None:
    async with (
        working(stage) as worker,
        HeroesClient(stage.rabbitmq_url, timeout_seconds=PATIENCE_SECONDS, in_flight=CALLS_UNDER_FIRE) as client,
    ):
        await worker.ready()
        calls = [
            asyncio.ensure_future(client.create(name=f"fire {number}", secret_name="s"))
            for number in range(CALLS_UNDER_FIRE)
        ]
        for answered in (200, 900):
            await _answered(calls, answered)
            await asyncio.to_thread(broker.kill)
            await asyncio.to_thread(broker.start)
        ends = await asyncio.gather(*calls, return_exceptions=True)
    unknown = [end for end in ends if isinstance(end, NotConfirmedError | OutcomeTimeoutError)]
    known = {f"fire {number}" for number, end in enumerate(ends) if isinstance(end, HeroCreated)}
    assert len(known) + len(unknown) == CALLS_UNDER_FIRE, [end for end in ends if isinstance(end, Exception)][:3]
    names = [row["name"] for row in await stage.rows("SELECT name FROM hero WHERE name LIKE 'fire %'")]
    assert len(names) == len(set(names)), "an effect was doubled"
    assert known <= set(names), "an outcome was told that is none"
    print(f"\n{len(known)} calls answered, {len(unknown)} told as unknown, {len(names)} effects")


async def _answered(calls: Sequence["asyncio.Future[HeroCreated]"], count: int) -> None:
    async def so_many() -> bool:
        return sum(call.done() for call in calls) >= count

    await eventually(so_many, f"{count} calls answered")
    assert not all(call.done() for call in calls), "the broker was killed too late"
