"""Following events with the client: none is missed, each is acknowledged only when the body of the loop is done."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from uuid import uuid4

import aio_pika
import pytest

from contracts.client import ClientError, HeroesClient
from contracts.heroes import AnyEvent, HeroCreated
from tests.harness.cable import Cable
from tests.harness.stage import Stage

DEADLINE_SECONDS = 30


async def _create(client: HeroesClient, *names: str) -> None:
    for name in names:
        await client.create(name=name, secret_name="s")


async def _names(events: AsyncIterator[AnyEvent], count: int, *, prefix: str) -> list[str]:
    """The next so many names that begin like this."""
    found: list[str] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        async for event in events:
            if isinstance(event, HeroCreated) and event.data.hero.name.startswith(prefix):
                found.append(event.data.hero.name)
            if len(found) == count:
                break
    return found


def _fresh() -> str:
    return uuid4().hex[:12]


async def test_a_queue_of_ones_own_misses_nothing_between_two_runs(client: HeroesClient) -> None:
    queue = _fresh()
    async with aclosing(client.events(queue)) as events:
        following = asyncio.ensure_future(_names(events, 2, prefix=queue))
        await _declared(client, queue)
        await _create(client, f"{queue} 1", f"{queue} 2")
        assert await following == [f"{queue} 1", f"{queue} 2"]
    await _create(client, f"{queue} 3")
    async with aclosing(client.events(queue)) as events:
        # The second was in the body when the loop was left, so it was never acknowledged.
        assert await _names(events, 2, prefix=queue) == [f"{queue} 2", f"{queue} 3"]


async def test_history_is_read_from_the_start_and_goes_over_into_the_present(client: HeroesClient) -> None:
    prefix = _fresh()
    await _create(client, f"{prefix} 1", f"{prefix} 2")
    async with aclosing(client.events(_fresh(), from_="start")) as events:
        assert await _names(events, 2, prefix=prefix) == [f"{prefix} 1", f"{prefix} 2"]
        await _create(client, f"{prefix} 3")
        assert await _names(events, 1, prefix=prefix) == [f"{prefix} 3"]


async def test_who_stops_amid_the_history_leaves_nothing_to_be_tidied_up_behind_the_connection(
    client: HeroesClient,
) -> None:
    """What the collector closes has lost its channel by then, and complains of it."""
    await _create(client, _fresh(), _fresh())
    left_to_the_collector: list[str] = []
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(finalizer=lambda generator: left_to_the_collector.append(str(generator)))
    try:
        async with aclosing(client.events(from_="start")) as events:
            await anext(events)
    finally:
        sys.set_asyncgen_hooks(*hooks)
    assert left_to_the_collector == []


async def test_history_is_read_from_a_moment(client: HeroesClient) -> None:
    prefix = _fresh()
    await _create(client, f"{prefix} 1")
    async with aclosing(client.events(from_=datetime(2020, 1, 1, tzinfo=UTC))) as events:
        assert await _names(events, 1, prefix=prefix) == [f"{prefix} 1"]


async def test_repeats_are_dropped_if_asked_and_events_of_unknown_types_are_passed_over(
    stage: Stage, client: HeroesClient
) -> None:
    queue = _fresh()
    async with aclosing(client.events(queue, remember=100)) as events:
        following = asyncio.ensure_future(_names(events, 2, prefix=queue))
        await _declared(client, queue)
        created = await client.create(name=f"{queue} 1", secret_name="s")
        async with await aio_pika.connect(stage.rabbitmq_url) as connection:
            exchange = await (await connection.channel()).get_exchange("heroes.events", ensure=False)
            repeat = aio_pika.Message(created.to_json(), message_id=created.id)
            await exchange.publish(repeat, "hero.created")
            await exchange.publish(aio_pika.Message(b'{"type": "hero.knighted"}', message_id=_fresh()), "hero.knighted")
        await _create(client, f"{queue} 2")
        assert await following == [f"{queue} 1", f"{queue} 2"]


async def test_a_lost_connection_is_no_end_of_the_events(stage: Stage, client: HeroesClient) -> None:
    queue = _fresh()
    async with Cable.to(stage.rabbitmq_url) as cable:
        follower = HeroesClient(cable.url)
        async with aclosing(follower.events(queue, remember=100)) as events:
            following = asyncio.ensure_future(_names(events, 20, prefix=queue))
            await _declared(client, queue)
            for number in range(20):
                await _create(client, f"{queue} {number:02d}")
                if number % 7 == 3:
                    cable.cut()
            assert await following == [f"{queue} {number:02d}" for number in range(20)]


async def test_a_queue_that_can_not_be_had_is_said_so_and_not_tried_for_ever(
    stage: Stage, client: HeroesClient
) -> None:
    """It stands there with other arguments, say: nothing will change by waiting."""
    queue = _fresh()
    async with await aio_pika.connect(stage.rabbitmq_url) as connection:
        await (await connection.channel()).declare_queue(f"heroes.events.{queue}", durable=True)
    async with aclosing(client.events(queue)) as events, asyncio.timeout(10):
        with pytest.raises(ClientError, match="PRECONDITION_FAILED"):
            await anext(events)


async def _declared(client: HeroesClient, queue: str) -> None:
    """The queue is there and bound: what comes from now on is in it."""
    probe = f"probe {_fresh()}"
    async with aclosing(client.events(_fresh())) as events:
        waiting = asyncio.ensure_future(_names(events, 1, prefix=probe))
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not waiting.done():
                await _create(client, probe)
                await asyncio.wait({waiting}, timeout=0.2)
