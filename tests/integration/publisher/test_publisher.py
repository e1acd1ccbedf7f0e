"""What the publisher reports as confirmed has really arrived, whole and in order."""

import asyncio
from collections.abc import Sequence
from typing import Any

import aio_pika
import pytest

from tests.harness.publishing import channel_at, heard_ids, ids_of, some_event
from tests.harness.stage import Stage
from tests.harness.wire import Wire
from worker.errors import PublishNotConfirmedError
from worker.messaging.channel import ConfirmedChannel
from worker.messaging.publisher import EventPublisher
from worker.messaging.together import Outgoing


async def test_a_confirmed_event_has_arrived_persistent_and_with_its_properties(
    channel: ConfirmedChannel, wire: Wire
) -> None:
    event = some_event(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    await EventPublisher(channel).publish([event])
    (message,) = await wire.event_messages_of(event.envelope["causationid"])
    assert message.body == event.body
    assert (message.message_id, message.type, message.routing_key) == (event.envelope["id"], *["hero.created"] * 2)
    assert (message.correlation_id, message.app_id) == (event.envelope["correlationid"], "heroes-worker")
    assert message.content_type == "application/cloudevents+json"
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert message.headers["traceparent"] == event.envelope["traceparent"]


async def test_several_events_arrive_in_their_order(channel: ConfirmedChannel, wire: Wire) -> None:
    events = [some_event() for _ in range(200)]
    await EventPublisher(channel).publish(events)
    assert await heard_ids(wire) == ids_of(events)


async def test_several_events_arrive_in_their_order_even_when_one_of_them_fails_at_first(
    channel: ConfirmedChannel, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [some_event() for _ in range(20)]
    failing = {ids_of(events)[5]}
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
    assert await heard_ids(wire) == ids_of(events), "a consumer that drops what is older than it has would lose one"


async def test_a_heap_of_batches_is_published_without_a_repeat_however_long_it_takes(stage: Stage, wire: Wire) -> None:
    """All of it at once would wait for its confirms longer than any of them may take."""
    batches = [[some_event(subject=str(number)) for number in range(200)] for _ in range(30)]
    async with channel_at(stage.rabbitmq_url, timeout_seconds=1.5) as channel:
        publisher = EventPublisher(channel)
        await asyncio.gather(*(publisher.publish(batch) for batch in batches))
    assert len(await heard_ids(wire)) == 30 * 200
    assert len(wire.events) == 30 * 200 + 1, "one is repeated, besides the one that tells the end"


async def test_events_that_come_while_one_is_under_way_go_out_together_behind_it(
    channel: ConfirmedChannel, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, groups = channel.publish_together, []

    async def counted(messages: Sequence[tuple[Outgoing, str]], **where: Any) -> None:
        groups.append(len(messages))
        await publish(messages, **where)

    monkeypatch.setattr(channel, "publish_together", counted)
    publisher, events = EventPublisher(channel), [some_event() for _ in range(150)]
    await asyncio.gather(*(publisher.publish([event]) for event in events))
    assert groups == [1, 1, 100, 48]
    assert await heard_ids(wire) == ids_of(events)


async def test_an_event_longer_than_a_frame_arrives_whole_between_its_neighbours(
    channel: ConfirmedChannel, wire: Wire
) -> None:
    """A frame has room for 128 KiB."""
    events = [some_event(about=letter * size) for letter, size in zip("abc", (10, 400_000, 10), strict=True)]
    await EventPublisher(channel).publish(events)
    assert await heard_ids(wire) == ids_of(events)
    assert [message.body for message in wire.events[:3]] == [event.body for event in events]
