"""Of however many batches only so many events are under way; a refusal is told at once and leaves nothing pending."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest
from aio_pika.abc import AbstractRobustConnection
from aiormq.exceptions import DeliveryError
from pamqp.commands import Basic

from tests.harness.answering_broker import Broker
from tests.harness.stage import eventually
from worker.documents import EventDocument
from worker.errors import PublishNotConfirmedError
from worker.messaging.channel import ConfirmedChannel
from worker.messaging.publisher import EventPublisher

UNDER_WAY = 400
GROUP = 100


def _publisher(broker: Broker) -> EventPublisher:
    return EventPublisher(ConfirmedChannel(cast("AbstractRobustConnection", broker), timeout_seconds=30))


def _batch(name: str, events: int, subjects: int | None = None) -> Sequence[EventDocument]:
    subjects = subjects or events
    return [
        EventDocument.of({"id": f"{name}.{one}", "type": "hero.created", "subject": f"{name}.{one % subjects}"})
        for one in range(events)
    ]


async def _stands_at(broker: Broker, count: int) -> None:
    async def is_there() -> bool:
        return len(broker.under_way) == count

    await eventually(is_there, f"{count} events are under way")
    for _ in range(20):  # and there it stays
        await asyncio.sleep(0)
    assert len(broker.under_way) == count


@pytest.mark.parametrize(("batches", "events"), [(20, 1000), (1000, 2)])
async def test_of_any_heap_of_batches_only_so_many_events_are_under_way_and_single_ones_pass_them(
    batches: int, events: int
) -> None:
    taken = asyncio.Event()

    async def answer(event_id: str) -> None:
        if not event_id.startswith("single"):
            await taken.wait()

    broker = Broker(answer)
    publisher = _publisher(broker)
    publishing = asyncio.gather(*(publisher.publish(_batch(str(one), events)) for one in range(batches)))
    await _stands_at(broker, UNDER_WAY)
    await asyncio.wait_for(publisher.publish(_batch("single", 1)), 5)
    taken.set()
    await asyncio.wait_for(publishing, 30)
    assert broker.most_under_way <= UNDER_WAY + 1
    assert len(broker.began) == len(set(broker.began)) == batches * events + 1


async def test_the_events_of_one_batch_go_in_groups_of_which_each_waits_for_the_one_before() -> None:
    taken = asyncio.Event()

    async def answer(_: str) -> None:
        await taken.wait()

    broker = Broker(answer)
    publishing = asyncio.ensure_future(_publisher(broker).publish(_batch("one", 1000)))
    await _stands_at(broker, GROUP)
    taken.set()
    await asyncio.wait_for(publishing, 30)
    assert broker.began == [f"one.{number}" for number in range(1000)]


async def test_of_two_events_about_one_subject_only_one_is_under_way() -> None:
    async def answer(_: str) -> None:
        await asyncio.sleep(0)

    broker = Broker(answer)
    await _publisher(broker).publish(_batch("one", 12, subjects=3))
    assert broker.most_under_way == 3
    assert broker.began == [f"one.{number}" for number in range(12)]


@pytest.mark.parametrize("limit", [-8, 100, 131_064])
async def test_whatever_the_broker_says_of_frames_a_body_arrives_whole(limit: int) -> None:
    """Without a limit for frames the client takes eight from nothing."""

    async def answer(_: str) -> None:
        pass

    broker = Broker(answer)
    broker.max_content_size = limit
    event = EventDocument.of({"id": "one", "type": "hero.created", "data": "n" * 1000})
    await asyncio.wait_for(_publisher(broker).publish([event]), 5)
    assert broker.body == event.body


async def test_a_batch_without_events_publishes_nothing() -> None:
    async def answer(_: str) -> None:
        pass

    broker = Broker(answer)
    await _publisher(broker).publish([])
    assert not broker.began


async def test_a_refusal_is_told_at_once_though_the_other_confirms_never_come_and_nothing_of_it_stays() -> None:
    refused, answered = "one.3", asyncio.Event()

    async def answer(event_id: str) -> None:
        if event_id == refused:
            raise DeliveryError(None, Basic.Nack())
        await answered.wait()

    broker = Broker(answer)
    publisher = _publisher(broker)
    with pytest.raises(PublishNotConfirmedError):
        await asyncio.wait_for(publisher.publish(_batch("one", 50)), 5)
    await _stands_at(broker, 0)
    refused = ""
    answered.set()
    await asyncio.wait_for(asyncio.gather(*(publisher.publish(_batch(str(one), 1000)) for one in range(5))), 30)
    assert len(broker.began) == 50 + 5 * 1000, "every place in the line was given back"


async def test_who_is_cancelled_in_the_line_gives_back_what_he_had_taken_and_no_more() -> None:
    taken = asyncio.Event()

    async def answer(_: str) -> None:
        await taken.wait()

    broker = Broker(answer)
    publisher = _publisher(broker)
    before = [asyncio.ensure_future(publisher.publish(_batch(str(one), 90))) for one in range(5)]
    await _stands_at(broker, 4 * 90)  # the fifth holds forty places and waits for fifty
    before[-1].cancel()
    await asyncio.wait(before[-1:])
    after = asyncio.ensure_future(publisher.publish(_batch("after", 40)))
    await _stands_at(broker, UNDER_WAY)
    taken.set()
    await asyncio.wait_for(asyncio.gather(*before[:-1], after), 30)
    assert publisher._free._value == UNDER_WAY
