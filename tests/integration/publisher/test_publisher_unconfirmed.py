"""What was not confirmed is told as such, whatever it was, and a failed channel does not stay failed."""

import asyncio

import aio_pika
import pytest

from tests.harness.cable import Cable
from tests.harness.publishing import channel_at, has_heard, heard_ids, is_published, some_event
from tests.harness.stage import Stage, eventually
from tests.harness.wire import DEAD_LETTERS, EVENTS, Wire
from worker.errors import PublishNotConfirmedError
from worker.messaging.channel import ConfirmedChannel
from worker.messaging.publisher import EventPublisher


async def test_one_lost_confirm_of_a_batch_leaves_it_unconfirmed_and_none_of_it_pending(
    stage: Stage, wire: Wire
) -> None:
    events = [some_event(subject=str(number)) for number in range(20)]
    async with Cable.to(stage.rabbitmq_url) as cable, channel_at(cable.url) as channel:
        publisher = EventPublisher(channel)
        await publisher.publish([some_event()])
        cable.hold()
        unconfirmed = asyncio.create_task(publisher.publish(events))
        await eventually(lambda: has_heard(wire, events), "the broker has the events")
        cable.cut()
        cable.release()
        with pytest.raises(PublishNotConfirmedError):
            await unconfirmed
        await eventually(lambda: is_published(publisher, events[0]), "it is published again on a fresh connection")
        await publisher.publish(events)


async def test_a_publish_to_a_missing_exchange_is_not_confirmed_and_the_next_one_is(
    channel: ConfirmedChannel, wire: Wire
) -> None:
    for _ in range(3):
        with pytest.raises(PublishNotConfirmedError, match=r"heroes\.nowhere"):
            await channel.publish(aio_pika.Message(b""), exchange="heroes.nowhere", routing_key="x")
        event = some_event()
        await EventPublisher(channel).publish([event])
        await wire.events_of(event.envelope["causationid"])


async def test_whatever_goes_wrong_beside_it_a_publish_that_returns_was_confirmed(
    channel: ConfirmedChannel, wire: Wire
) -> None:
    publisher = EventPublisher(channel)
    events = [some_event() for _ in range(60)]
    bad = [channel.publish(aio_pika.Message(b""), exchange="heroes.nowhere", routing_key="x") for _ in range(3)]
    work = [publisher.publish([event]) for event in events]
    results = await asyncio.gather(*work[:20], bad[0], *work[20:40], bad[1], *work[40:], bad[2], return_exceptions=True)
    failures = [result for result in results if result is not None]
    assert all(isinstance(failure, PublishNotConfirmedError) for failure in failures)
    assert len(failures) >= len(bad)
    good = [result for number, result in enumerate(results) if number not in (20, 41, 62)]
    confirmed = [event.envelope["id"] for event, result in zip(events, good, strict=True) if result is None]
    assert set(confirmed) <= set(await heard_ids(wire))
    await publisher.publish(events)


async def test_a_channel_whose_close_the_client_has_answered_is_written_to_no_more(channel: ConfirmedChannel) -> None:
    """It is not closed yet for the client, and the broker would end the whole connection for another frame on it."""
    publisher = EventPublisher(channel)
    await publisher.publish([some_event()])
    used = channel._channel
    assert used is not None
    used._close_exception = ConnectionError("the broker closes it")
    await publisher.publish([some_event()])
    assert channel._channel is not used
    assert not used.is_closed


async def test_an_unroutable_letter_is_refused_where_it_must_arrive(channel: ConfirmedChannel) -> None:
    with pytest.raises(PublishNotConfirmedError):
        await channel.publish(aio_pika.Message(b""), exchange=EVENTS + ".log", routing_key="x", mandatory=True)
    with pytest.raises(PublishNotConfirmedError):
        await channel.publish(aio_pika.Message(b""), exchange="", routing_key="no such queue", mandatory=True)
    await channel.publish(aio_pika.Message(b""), exchange="", routing_key="no such queue")
    await channel.publish(aio_pika.Message(b""), exchange=DEAD_LETTERS, routing_key="x", mandatory=True)


async def test_a_broker_that_does_not_answer_in_time_leaves_the_publish_unconfirmed(stage: Stage, wire: Wire) -> None:
    async with Cable.to(stage.rabbitmq_url) as cable, channel_at(cable.url, timeout_seconds=0.3) as channel:
        publisher = EventPublisher(channel)
        await publisher.publish([some_event()])
        cable.hold()
        event = some_event()
        with pytest.raises(PublishNotConfirmedError, match="TimeoutError"):
            await publisher.publish([event])
        cable.release()
        await eventually(lambda: is_published(publisher, event), "it is published again on a fresh channel")
    await wire.events_of(event.envelope["causationid"], 2)


async def test_a_cut_connection_leaves_the_publish_unconfirmed_and_comes_back(stage: Stage, wire: Wire) -> None:
    async with Cable.to(stage.rabbitmq_url) as cable, channel_at(cable.url) as channel:
        publisher = EventPublisher(channel)
        await publisher.publish([some_event()])
        cable.hold()
        events = [some_event() for _ in range(10)]
        unconfirmed = asyncio.gather(*(publisher.publish([event]) for event in events), return_exceptions=True)
        await eventually(lambda: has_heard(wire, events[:1]), "the broker has the one that was there first")
        cable.cut()
        cable.release()
        first, *others = await unconfirmed
        assert isinstance(first, PublishNotConfirmedError)
        assert all(isinstance(result, PublishNotConfirmedError | None) for result in others)
        await eventually(lambda: is_published(publisher, events[0]), "it is published again on a fresh connection")
        told = {event.envelope["id"] for event, result in zip(events[1:], others, strict=True) if result is None}
    assert told | {events[0].envelope["id"]} <= set(await heard_ids(wire))
