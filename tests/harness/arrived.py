"""Messages as they arrive, what becomes of them as dead letters, and how that looks on the wire."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from pamqp import commands, frame, header

from worker.messaging.channel import ConfirmedChannel
from worker.messaging.dead_letters import DeadLetters
from worker.outcomes import Letter, Reason

LETTER = Letter(Reason.HANDLER_FAILED, "the handler raised KeyError", 3)
FRAME_BYTES = 128 * 1024
"""The largest frame that RabbitMQ takes; the headers must fit one."""


class Kept:
    """Takes the place of a channel, and remembers what was published on it."""

    def __init__(self) -> None:
        self.published: list[tuple[aio_pika.Message, dict[str, Any]]] = []
        self.under_way = self.most_under_way = 0

    async def publish(self, message: aio_pika.Message, **how: Any) -> None:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.wait({asyncio.get_running_loop().create_future()}, timeout=0)
        self.published.append((message, how))
        self.under_way -= 1


def arrived(body: bytes = b"body", **properties: Any) -> AbstractIncomingMessage:
    """A message as the AMQP client hands it over."""
    names = (
        *("content_type", "content_encoding", "correlation_id", "reply_to", "message_id", "timestamp", "type"),
        *("app_id", "user_id", "expiration", "priority", "delivery_mode"),
    )
    given: dict[str, Any] = dict.fromkeys(names) | {"headers": {}, "exchange": "heroes.commands", "routing_key": "07"}
    return cast("AbstractIncomingMessage", SimpleNamespace(body=body, **{**given, **properties}))


async def letter_for(message: AbstractIncomingMessage, letter: Letter = LETTER) -> aio_pika.Message:
    channel = Kept()
    await DeadLetters(cast("ConfirmedChannel", channel), "worker-1").send(message, letter)
    ((published, how),) = channel.published
    assert how == {"exchange": "heroes.dead_letters", "routing_key": message.routing_key or "", "mandatory": True}
    return published


def on_the_wire(message: aio_pika.Message) -> commands.Basic.Properties:
    """Through the bytes of a real frame."""
    written = frame.marshal(header.ContentHeader(0, len(message.body), message.properties), 1)
    assert len(written) <= FRAME_BYTES
    _, _, read = frame.unmarshal(written)
    assert isinstance(read, header.ContentHeader)
    return read.properties
