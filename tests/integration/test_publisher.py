"""What the publisher reports as confirmed has really arrived, in order, and a failed channel does not stay failed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aio_pika
import pytest
import pytest_asyncio

from tests.harness.cable import Cable
from tests.harness.ledger import everything_heard
from tests.harness.stage import Stage, eventually
from tests.harness.wire import DEAD_LETTERS, EVENTS, Wire
from worker.documents import EventDocument
from worker.errors import PublishNotConfirmedError
from worker.messaging.channel import ConfirmedChannel
from worker.messaging.connection import keep_connected
from worker.messaging.publisher import EventPublisher
from worker.messaging.together import Outgoing


@asynccontextmanager
async def _channel(url: str, timeout_seconds: float = 5) -> AsyncIterator[ConfirmedChannel]:
    connection = await keep_connected(url, "test")
    try:
        yield ConfirmedChannel(connection, timeout_seconds)
    finally:
        await connection.close()


@pytest_asyncio.fixture(loop_scope="session")
async def channel(stage: Stage) -> AsyncIterator[ConfirmedChannel]:
    async with _channel(stage.rabbitmq_url) as opened:
        yield opened


def _event(**more: Any) -> EventDocument:
    command_id = str(uuid4())
    return EventDocument.of(
        {
            "specversion": "1.0",
            "id": str(uuid4()),
            "source": "/tests",
            "type": "hero.created",
            "time": "2026-01-02T03:04:05.678901Z",
            "datacontenttype": "application/json",
            "correlationid": command_id,
            "causationid": command_id,
            "data": {"hero": {"id": 1}},
            **more,
        }
    )


def _ids(events: Sequence[EventDocument]) -> list[str]:
    return [event.envelope["id"] for event in events]


async def _heard_ids(wire: Wire) -> list[str]:
    return [event["id"] for event in (await everything_heard(wire)).first]


async def test_a_confirmed_event_has_arrived_persistent_and_with_its_properties(
    channel: ConfirmedChannel, wire: Wire
) -> None:
    event = _event(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    await EventPublisher(channel).publish([event])
    (message,) = await wire.event_messages_of(event.envelope["causationid"])
    assert message.body == event.body
    assert (message.message_id, message.type, message.routing_key) == (event.envelope["id"], *["hero.created"] * 2)
    assert (message.correlation_id, message.app_id) == (event.envelope["correlationid"], "heroes-worker")
    assert message.content_type == "application/cloudevents+json"
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert message.headers["traceparent"] == event.envelope["traceparent"]


async def test_several_events_arrive_in_their_order(channel: ConfirmedChannel, wire: Wire) -> None:
    events = [_event() for _ in range(200)]
    await EventPublisher(channel).publish(events)
    assert await _heard_ids(wire) == _ids(events)


async def test_several_events_arrive_in_their_order_even_when_one_of_them_fails_at_first(
    channel: ConfirmedChannel, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [_event() for _ in range(20)]
    failing = {_ids(events)[5]}
    publish = channel.publish_together

    async def fail_once(messages: Sequence[tuple[Outgoing, str]], **where: Any) -> None:
        if any(message.properties.message_id in failing for message, _ in messages):
            failing.clear()
            raise PublishNotConfirmedError("a test says so")
        await publish(messages, **where)

    monkeypatch.setattr(channel, "publish_together", fail_once)
    publisher = EventPublisher(channel)
    with pytest.raises(PublishNotConfirmedError):
        await publisher.publish(events)
    await publisher.publish(events)
    assert await _heard_ids(wire) == _ids(events), "a consumer that drops what is older than it has would lose one"


async def test_a_heap_of_batches_is_published_without_a_repeat_however_long_it_takes(stage: Stage, wire: Wire) -> None:
    """All of it at once would wait for its confirms longer than any of them may take."""
    batches = [[_event(subject=str(number)) for number in range(200)] for _ in range(30)]
    async with _channel(stage.rabbitmq_url, timeout_seconds=1.5) as channel:
        publisher = EventPublisher(channel)
        await asyncio.gather(*(publisher.publish(batch) for batch in batches))
    assert len(await _heard_ids(wire)) == 30 * 200
    assert len(wire.events) == 30 * 200 + 1, "one is repeated, besides the one that tells the end"


async def test_one_lost_confirm_of_a_batch_leaves_it_unconfirmed_and_none_of_it_pending(
    stage: Stage, wire: Wire
) -> None:
    events = [_event(subject=str(number)) for number in range(20)]
    async with Cable.to(stage.rabbitmq_url) as cable, _channel(cable.url) as channel:
        publisher = EventPublisher(channel)
        await publisher.publish([_event()])
        cable.hold()
        unconfirmed = asyncio.create_task(publisher.publish(events))
        await eventually(lambda: _has_heard(wire, events), "the broker has the events")
        cable.cut()
        cable.release()
        with pytest.raises(PublishNotConfirmedError):
            await unconfirmed
        await eventually(lambda: _published(publisher, events[0]), "it is published again on a fresh connection")
        await publisher.publish(events)


async def test_a_publish_to_a_missing_exchange_is_not_confirmed_and_the_next_one_is(
    channel: ConfirmedChannel, wire: Wire
) -> None:
    for _ in range(3):
        with pytest.raises(PublishNotConfirmedError, match=r"heroes\.nowhere"):
            await channel.publish(aio_pika.Message(b""), exchange="heroes.nowhere", routing_key="x")
        event = _event()
        await EventPublisher(channel).publish([event])
        await wire.events_of(event.envelope["causationid"])


async def test_whatever_goes_wrong_beside_it_a_publish_that_returns_was_confirmed(
    channel: ConfirmedChannel, wire: Wire
) -> None:
    publisher = EventPublisher(channel)
    events = [_event() for _ in range(60)]
    bad = [channel.publish(aio_pika.Message(b""), exchange="heroes.nowhere", routing_key="x") for _ in range(3)]
    work = [publisher.publish([event]) for event in events]
    results = await asyncio.gather(*work[:20], bad[0], *work[20:40], bad[1], *work[40:], bad[2], return_exceptions=True)
    failures = [result for result in results if result is not None]
    assert all(isinstance(failure, PublishNotConfirmedError) for failure in failures)
    assert len(failures) >= len(bad)
    good = [result for number, result in enumerate(results) if number not in (20, 41, 62)]
    confirmed = [event.envelope["id"] for event, result in zip(events, good, strict=True) if result is None]
    assert set(confirmed) <= set(await _heard_ids(wire))
    await publisher.publish(events)


async def test_an_unroutable_letter_is_refused_where_it_must_arrive(channel: ConfirmedChannel) -> None:
    with pytest.raises(PublishNotConfirmedError):
        await channel.publish(aio_pika.Message(b""), exchange=EVENTS + ".log", routing_key="x", mandatory=True)
    with pytest.raises(PublishNotConfirmedError):
        await channel.publish(aio_pika.Message(b""), exchange="", routing_key="no such queue", mandatory=True)
    await channel.publish(aio_pika.Message(b""), exchange="", routing_key="no such queue")
    await channel.publish(aio_pika.Message(b""), exchange=DEAD_LETTERS, routing_key="x", mandatory=True)


async def test_a_broker_that_does_not_answer_in_time_leaves_the_publish_unconfirmed(stage: Stage, wire: Wire) -> None:
    async with Cable.to(stage.rabbitmq_url) as cable, _channel(cable.url, timeout_seconds=0.3) as channel:
        publisher = EventPublisher(channel)
        await publisher.publish([_event()])
        cable.hold()
        event = _event()
        with pytest.raises(PublishNotConfirmedError, match="TimeoutError"):
            await publisher.publish([event])
        cable.release()
        await eventually(lambda: _published(publisher, event), "it is published again on a fresh channel")
    await wire.events_of(event.envelope["causationid"], 2)


async def test_a_cut_connection_leaves_the_publish_unconfirmed_and_comes_back(stage: Stage, wire: Wire) -> None:
    async with Cable.to(stage.rabbitmq_url) as cable, _channel(cable.url) as channel:
        publisher = EventPublisher(channel)
        await publisher.publish([_event()])
        cable.hold()
        events = [_event() for _ in range(10)]
        unconfirmed = asyncio.gather(*(publisher.publish([event]) for event in events), return_exceptions=True)
        await eventually(lambda: _has_heard(wire, events[:1]), "the broker has the one that was there first")
        cable.cut()
        cable.release()
        first, *others = await unconfirmed
        assert isinstance(first, PublishNotConfirmedError)
        assert all(isinstance(result, PublishNotConfirmedError | None) for result in others)
        await eventually(lambda: _published(publisher, events[0]), "it is published again on a fresh connection")
        told = {event.envelope["id"] for event, result in zip(events[1:], others, strict=True) if result is None}
    assert told | {events[0].envelope["id"]} <= set(await _heard_ids(wire))


async def test_events_that_come_while_one_is_under_way_go_out_together_behind_it(
    channel: ConfirmedChannel, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, groups = channel.publish_together, []

    async def counted(messages: Sequence[tuple[Outgoing, str]], **where: Any) -> None:
        groups.append(len(messages))
        await publish(messages, **where)

    monkeypatch.setattr(channel, "publish_together", counted)
    publisher, events = EventPublisher(channel), [_event() for _ in range(150)]
    await asyncio.gather(*(publisher.publish([event]) for event in events))
    assert groups == [1, 1, 100, 48]
    assert await _heard_ids(wire) == _ids(events)


async def test_an_event_longer_than_a_frame_arrives_whole_between_its_neighbours(
    channel: ConfirmedChannel, wire: Wire
) -> None:
    """A frame has room for 128 KiB."""
    events = [_event(about=letter * size) for letter, size in zip("abc", (10, 400_000, 10), strict=True)]
    await EventPublisher(channel).publish(events)
    assert await _heard_ids(wire) == _ids(events)
    assert [message.body for message in wire.events[:3]] == [event.body for event in events]


async def _has_heard(wire: Wire, events: Sequence[EventDocument]) -> bool:
    return set(_ids(events)) <= {message.message_id for message in wire.events}


async def _published(publisher: EventPublisher, event: EventDocument) -> bool:
    try:
        await publisher.publish([event])
    except PublishNotConfirmedError:
        return False
    return True
