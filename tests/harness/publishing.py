"""Events to be published, by a channel to a real broker, and what was heard of them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from tests.harness.ledger import everything_heard
from tests.harness.wire import Wire
from worker.documents import EventDocument
from worker.errors import PublishNotConfirmedError
from worker.messaging.channel import ConfirmedChannel
from worker.messaging.connection import keep_connected
from worker.messaging.publisher import EventPublisher


@asynccontextmanager
async def channel_at(url: str, timeout_seconds: float = 5) -> AsyncIterator[ConfirmedChannel]:
    """An open one, on a connection of its own."""
    connection = await keep_connected(url, "test")
    try:
        yield ConfirmedChannel(connection, timeout_seconds)
    finally:
        await connection.close()


def some_event(**more: Any) -> EventDocument:
    """With ids of its own, and whatever more is wanted in it."""
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


def ids_of(events: Sequence[EventDocument]) -> list[str]:
    """In their order."""
    return [event.envelope["id"] for event in events]


async def heard_ids(wire: Wire) -> list[str]:
    """The ids of all events that were heard, each where it came first."""
    return [event["id"] for event in (await everything_heard(wire)).first]


async def has_heard(wire: Wire, events: Sequence[EventDocument]) -> bool:
    """All of these have arrived."""
    return set(ids_of(events)) <= {message.message_id for message in wire.events}


async def is_published(publisher: EventPublisher, event: EventDocument) -> bool:
    """It is confirmed now."""
    try:
        await publisher.publish([event])
    except PublishNotConfirmedError:
        return False
    return True
