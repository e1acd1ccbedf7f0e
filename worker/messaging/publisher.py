"""Publishes events: when it returns, the broker has every one of them.

Events are not mandatory: one that nobody is bound to is dropped, as in any publish/subscribe.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import aio_pika
from aio_pika import DeliveryMode

from contracts.channels import EVENTS
from contracts.envelope import CONTENT_TYPE, instant
from worker.messaging.channel import ConfirmedChannel
from worker.outcomes import EventDocument

APP_ID = "heroes-worker"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_10000_SECONDS = 253_402_300_800


class EventPublisher:
    """Sends event documents to the events exchange, by their type."""

    def __init__(self, channel: ConfirmedChannel) -> None:
        self._channel = channel

    async def publish(self, events: Sequence[EventDocument]) -> None:
        """Every event is confirmed, in this order. On a failure some may be out: publish all of them again.

        Raises:
            PublishNotConfirmedError: at least one was not confirmed.
        """
        for event in events:
            # One after the other: were a later one taken and this one refused, the repeat would come behind it.
            await self._publish(event)

    async def _publish(self, event: EventDocument) -> None:
        kind: str = event.envelope["type"]
        await self._channel.publish(as_message(event), exchange=EVENTS, routing_key=kind)


def as_message(event: EventDocument, *, correlation_id: str | None = None) -> aio_pika.Message:
    """The event with the AMQP properties that belong to it."""
    envelope = event.envelope
    time = envelope.get("time")
    return aio_pika.Message(
        event.body,
        message_id=envelope["id"],
        type=envelope["type"],
        correlation_id=correlation_id or envelope["correlationid"],
        content_type=CONTENT_TYPE,
        delivery_mode=DeliveryMode.PERSISTENT,
        timestamp=_amqp_timestamp(time) if time else None,
        app_id=APP_ID,
        headers={"traceparent": envelope["traceparent"]} if "traceparent" in envelope else None,
    )


def _amqp_timestamp(time: str) -> datetime | None:
    """AMQP counts seconds from 1970 on and the client stops at the year 9999; a command may tell any time."""
    seconds = (instant(time) - _EPOCH).total_seconds()
    return datetime.fromtimestamp(seconds, UTC) if 0 <= seconds < _YEAR_10000_SECONDS else None
