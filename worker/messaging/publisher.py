"""Publishes events: when it returns, the broker has every one of them.

Events are not mandatory: one that nobody is bound to is dropped, as in any publish/subscribe.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from pamqp.commands import Basic

from contracts.channels import EVENTS
from contracts.envelope import CONTENT_TYPE, instant
from worker.documents import EventDocument
from worker.messaging.channel import ConfirmedChannel
from worker.messaging.ferry import Ferry
from worker.watch import Watch

APP_ID = "heroes-worker"

_PERSISTENT = 2

_GROUP_AT_MOST = 100
_CROSSINGS = 2  # fewer would make single events wait where there are few, more would make all groups small
_UNDER_WAY_AT_MOST = 400

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_10000_SECONDS = 253_402_300_800


@dataclass(frozen=True, slots=True)
class EventMessage:
    """An event as it goes out. Making an `aio_pika.Message` of it would take longer than sending it."""

    body: bytes
    properties: Basic.Properties


class EventPublisher:
    """Sends event documents to the events exchange, by their type.

    Single events go out as they come, and together where others are under way. Those of batches go in groups, and the
    groups stand in line: thousands of events under way at once would wait for their confirms until they time out.
    """

    def __init__(self, channel: ConfirmedChannel, watch: Watch | None = None) -> None:
        self._channel = channel
        self._watch = watch or Watch()
        self._free = asyncio.Semaphore(_UNDER_WAY_AT_MOST)
        self._first_in_line = asyncio.Lock()
        self._ferry = Ferry(self._publish_together, crossings=_CROSSINGS, places=_GROUP_AT_MOST)

    async def publish(self, events: Sequence[EventDocument]) -> None:
        """Every event is confirmed; those about one subject in this order. On a failure some may be out: publish all of
        them again.

        Raises:
            PublishNotConfirmedError: at least one was not confirmed.
        """
        with self._watch.publication(EVENTS, len(events)):
            if len(events) == 1:  # nearly always
                await self._ferry.take(events[0])
                return
            for group in _groups(events):
                async with self._place_for(len(group)):
                    await self._publish_together(group)

    async def _publish_together(self, events: Sequence[EventDocument]) -> None:
        messages = [(as_message(event), _type_of(event)) for event in events]
        await self._channel.publish_together(messages, exchange=EVENTS)
        for _, kind in messages:
            self._watch.published(kind)

    @asynccontextmanager
    async def _place_for(self, events: int) -> AsyncIterator[None]:
        taken = 0
        try:
            async with self._first_in_line:  # two that gather places at the same time might both wait for ever
                for _ in range(events):
                    await self._free.acquire()
                    taken += 1
            yield
        finally:
            for _ in range(taken):
                self._free.release()


def _type_of(event: EventDocument) -> str:
    kind: str = event.envelope["type"]
    return kind


def _groups(events: Sequence[EventDocument]) -> Iterator[list[EventDocument]]:
    """Those that may be under way at once: never two about one subject, since were the later one taken and the earlier
    one refused, the repeat would come behind it.
    """
    group: dict[str | None, EventDocument] = {}
    for event in events:
        subject = event.envelope.get("subject")
        if subject in group or len(group) >= _GROUP_AT_MOST:
            yield list(group.values())
            group = {}
        group[subject] = event
    if group:
        yield list(group.values())


def as_message(event: EventDocument, *, correlation_id: str | None = None) -> EventMessage:
    """The event with the AMQP properties that belong to it."""
    envelope = event.envelope
    time = envelope.get("time")
    properties = Basic.Properties(
        message_id=envelope["id"],
        message_type=envelope["type"],
        correlation_id=correlation_id or envelope.get("correlationid"),
        content_type=CONTENT_TYPE,
        delivery_mode=_PERSISTENT,
        timestamp=_amqp_timestamp(time) if time else None,
        app_id=APP_ID,
        headers={"traceparent": envelope["traceparent"]} if "traceparent" in envelope else None,
    )
    return EventMessage(event.body, properties)


def _amqp_timestamp(time: str) -> datetime | None:
    """AMQP counts seconds from 1970 on and the client stops at the year 9999; a command may tell any time."""
    seconds = (instant(time) - _EPOCH).total_seconds()
    return datetime.fromtimestamp(seconds, UTC) if 0 <= seconds < _YEAR_10000_SECONDS else None
