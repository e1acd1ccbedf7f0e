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
from worker.failsafe import Failure, caught
from worker.messaging.channel import ConfirmedChannel
from worker.watch import Watch

APP_ID = "heroes-worker"

_PERSISTENT = 2

_UNDER_WAY_AT_MOST = 100

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_10000_SECONDS = 253_402_300_800


@dataclass(frozen=True, slots=True)
class EventMessage:
    """An event as it goes out. Making an `aio_pika.Message` of it would take longer than sending it."""

    body: bytes
    properties: Basic.Properties


class EventPublisher:
    """Sends event documents to the events exchange, by their type."""

    def __init__(self, channel: ConfirmedChannel, watch: Watch | None = None) -> None:
        self._channel = channel
        self._watch = watch or Watch()

    async def publish(self, events: Sequence[EventDocument]) -> None:
        """Every event is confirmed; those about one subject in this order. On a failure some may be out: publish all of
        them again.

        Raises:
            PublishNotConfirmedError: at least one was not confirmed.
        """
        with self._watch.publication(EVENTS, len(events)):
            await self._publish_all(events)

    async def _publish_all(self, events: Sequence[EventDocument]) -> None:
        for wave in _waves(events):
            if len(wave) == 1:  # nearly always: a task of its own would cost more than it brings
                await self._publish(wave[0])
                continue
            results = await asyncio.gather(*(caught(self._publish, event) for event in wave))
            failures = [result for result in results if isinstance(result, Failure)]
            if failures:
                raise failures[0].error

    async def _publish(self, event: EventDocument) -> None:
        kind: str = event.envelope["type"]
        await self._channel.publish(as_message(event), exchange=EVENTS, routing_key=kind)
        self._watch.published(kind)


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
