"""Publishes messages in one write on a channel with confirms, and waits until the broker has all of them.

The client publishes one message at a time, each with a task, a lock and a write of its own. The broker confirms by
number, and counts what it reads: numbers are given in the order of writing, and only to what is written.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

import aiormq
from aiormq.abc import ChannelFrame
from aiormq.exceptions import ChannelInvalidStateError
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader


def is_ending(channel: aiormq.Channel) -> bool:
    """Nothing should be written there any more: behind our answer to its close, it would end the whole connection."""
    # Private: for some turns of the loop the client has answered, and still takes what is to be written.
    return channel.is_closed or channel._close_exception is not None  # noqa: SLF001 - see above


class Outgoing(Protocol):
    """What can be published; an `aio_pika.Message` is one."""

    @property
    def body(self) -> bytes:
        """What it says."""

    @property
    def properties(self) -> Basic.Properties:
        """What AMQP is told about it."""


async def publish_together(channel: aiormq.Channel, messages: Sequence[tuple[Outgoing, str]], *, exchange: str) -> None:
    """The broker has taken responsibility for all of these, each with its routing key: sent in this order, and
    confirmed in any. Those that nobody is bound to are dropped.

    Raises:
        DeliveryError: it refused one; told at once, whatever becomes of the others.
        Exception, CancelledError: the channel or its connection is gone, for what reason the client knows.
    """
    frames = [frame for message, key in messages for frame in _frames(channel, message, exchange, key)]
    async with channel.lock:
        if is_ending(channel):
            raise ChannelInvalidStateError("the broker closes it")
        await channel.write_queue.put(ChannelFrame.marshall(channel.number, frames))
        # Nobody else has run since it was put there, so no confirm has come.
        first = channel.delivery_tag + 1
        channel.delivery_tag += len(messages)
        confirmations = [channel.create_future() for _ in messages]
        channel.confirmations.update(enumerate(confirmations, first))
    await asyncio.gather(*confirmations)


def _frames(
    channel: aiormq.Channel, message: Outgoing, exchange: str, routing_key: str
) -> Iterable[Basic.Publish | ContentHeader | ContentBody]:
    """AMQP 0-9-1, 2.3.5.2: a method, a header, and the body in parts that are not too long for a frame."""
    body = message.body
    most = channel.max_content_size if channel.max_content_size > 0 else len(body) + 1  # a broker may set no limit
    yield Basic.Publish(exchange=exchange, routing_key=routing_key)
    yield ContentHeader(properties=message.properties, body_size=len(body))
    for start in range(0, len(body), most):
        yield ContentBody(body[start : start + most])
