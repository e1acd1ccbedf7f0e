"""Publishes events: when it returns, the broker has every one of them.

Events are not mandatory: one that nobody is bound to is dropped, as in any publish/subscribe.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pamqp.commands import Basic

from contracts.channels import EVENTS
from contracts.envelope import CONTENT_TYPE, instant
from worker.documents import EventDocument
from worker.messaging.channel import ConfirmedChannel
from worker.watch import Watch

APP_ID = "heroes-worker"

_PERSISTENT = 2

_UNDER_WAY_AT_MOST = 100
_BATCHES_AT_ONCE = 4

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_10000_SECONDS = 253_402_300_800


@dataclass(frozen=True, slots=True)
class EventMessage:
    """An event as it goes out. Making an `aio_pika.Message` of it would take longer than sending it."""

    body: bytes
    properties: Basic.Properties


class EventPublisher:
    """Sends event documents to the events exchange, by their type.

    Single events go out as they come. Those of batches stand in line: thousands under way at once would wait for their
    confirms until they time out, in memory that nothing bounds.
    """

    def __init__(self, channel: ConfirmedChannel, watch: Watch | None = None) -> None:
        self._channel = channel
        self._watch = watch or Watch()
        self._line = asyncio.Semaphore(_BATCHES_AT_ONCE)

    async def keeping_pace(self) -> None:
        """The line is short: every batch that was handed in before is on its way. Ask before more events are made."""
        async with self._line:
            return

    async def publish(self, events: Sequence[EventDocument]) -> None:
        """Every event is confirmed; those about one subject in this order. On a failure some may be out: publish all of
        them again.

        Raises:
            PublishNotConfirmedError: at least one was not confirmed.
        """
        with self._watch.publication(EVENTS, len(events)):
            if len(events) == 1:  # nearly always: the line and a task of its own would cost more than they bring
                await self._channel.publish(as_message(events[0]), exchange=EVENTS, routing_key=_type_of(events[0]))
                self._watch.published(_type_of(events[0]))
                return
            async with self._line:
                for wave in _waves(events):
                    messages = [(as_message(event), _type_of(event)) for event in wave]
                    await self._channel.publish_together(messages, exchange=EVENTS)
                    for _, kind in messages:
                        self._watch.published(kind)


def _type_of(event: EventDocument) -> str:
    kind: str = event.envelope["type"]
    return kind


def _waves(events: Sequence[EventDocument]) -> Iterator[list[EventDocument]]:
    """Groups that may be under way at once: never two about one subject, since were the later one taken and the earlier
    one refused, the repeat would come behind it.
    """
    wave: dict[str | None, EventDocument] = {}
    for event in events:
        subject = event.envelope.get("subject")
        if subject in wave or len(wave) >= _UNDER_WAY_AT_MOST:
            yield list(wave.values())
            wave = {}
        wave[subject] = event
    yield list(wave.values())


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
