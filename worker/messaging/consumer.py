"""The consumer of one command queue, on a channel of its own: attached, let go, taken up again, left.

FastStream handles what arrives, just as the AMQP client brought it; the channel is ours. A consumer is never cancelled
while a delivery of its own is unfinished: the broker would feed the next worker at once, ahead of what is still here.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from secrets import token_hex
from typing import Any, cast

import aiormq
from aio_pika.abc import AbstractChannel
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import AMQPError, ChannelInvalidStateError
from faststream import AckPolicy, StreamMessage
from faststream.rabbit import Channel, RabbitBroker
from faststream.rabbit.subscriber.usecase import RabbitSubscriber

from worker.messaging.settlement import Settlement

_RPC_TIMEOUT_SECONDS = 1
_ATTACH_TIMEOUT_SECONDS = 20  # 3.10 takes its time to accept a consumer after a restart
_CONNECT_TIMEOUT_SECONDS = 5
_RECONNECT_SECONDS = 1.0
_NAME_BYTES = 200  # a tag has room for 255

TAG_SEPARATOR = "~"
"""Between a worker's name and what makes each of its consumers another one."""


class Consumer:
    """Hands every delivery of one queue to `handle`; the settlement knows what is in hand."""

    def __init__(
        self, broker: RabbitBroker, queue: str, worker_id: str, prefetch: int, handle: Callable[[Any], Awaitable[None]]
    ) -> None:
        self.queue = queue
        self.settlement = Settlement(prefetch)
        self._broker = broker
        self._prefetch = prefetch
        self._name = worker_id.encode()[:_NAME_BYTES].decode(errors="ignore")
        self._arguments: dict[str, Any] = {"x-priority": rendezvous_priority(worker_id, queue)}
        self._subscriber = broker.subscriber(queue, ack_policy=AckPolicy.MANUAL, no_reply=True)
        self._subscriber(handle)
        self._channel: AbstractChannel | None = None
        self._tag: str | None = None

    async def is_attached(self) -> bool:
        """The queue is consumed on a live channel."""
        if self._channel is None or self._tag is None or self._channel.is_closed or not self._subscriber.running:
            return False
        try:
            async with asyncio.timeout(0.5):
                underlay = await self._channel.get_underlay_channel()
        except (TimeoutError, AMQPError, ChannelInvalidStateError, RuntimeError):
            return False
        return isinstance(underlay, aiormq.Channel) and not underlay.is_closed and self._tag in underlay.consumers

    async def attach(self) -> None:
        """The queue is consumed, for the first time or again, and always on a channel of its own that is new.

        A channel that the client has opened again, or on which an attempt to consume was not answered in time, may have
        a consumer that nobody here knows: what that is given, nobody would ever handle.

        Raises:
            Exception: it can't be, just now.
        """
        if not self._subscriber.running:
            await super(RabbitSubscriber, self._subscriber).start()  # without a channel and a consumer of its own
            self._subscriber._post_start()  # noqa: SLF001 - no public way
        await self.release()
        async with asyncio.timeout(_ATTACH_TIMEOUT_SECONDS):
            connection = await self._broker.connect()
            await connection.ready()
            self._channel = await connection.channel(publisher_confirms=False)
            await self._channel.set_qos(prefetch_count=self._prefetch)
            underlay = cast("aiormq.Channel", await self._channel.get_underlay_channel())
            consume: Any = self._subscriber.consume  # typed for aio-pika's message: `_as_it_came` reads ours for it
            tag = f"{self._name}{TAG_SEPARATOR}{token_hex(4)}"  # a broker's operator sees who it is
            self.settlement.is_released = False
            # Not `Queue.consume`: it makes a message and a task more of each delivery, as dear as a statement.
            await underlay.basic_consume(self.queue, consume, consumer_tag=tag, arguments=self._arguments)
            self._tag = tag

    async def release(self) -> None:
        """Whatever is in hand is cancelled here and has gone back to its queue, in order."""
        channel, self._channel, self._tag = self._channel, None, None
        with contextlib.suppress(AMQPError, ChannelInvalidStateError, OSError, RuntimeError):
            async with asyncio.timeout(_RPC_TIMEOUT_SECONDS):
                await self.settlement.release()
                if channel is not None:
                    await channel.close()

    async def leave(self, timeout_seconds: float) -> bool:
        """What was in hand is finished and acknowledged, and the queue is left; False: not all of it, in that time."""
        finished = await self.settlement.finish(timeout_seconds)
        channel, tag = self._channel, self._tag
        if channel is None or channel.is_closed:
            return finished
        with contextlib.suppress(AMQPError, ChannelInvalidStateError, OSError, RuntimeError):
            async with asyncio.timeout(_RPC_TIMEOUT_SECONDS):
                if tag is not None and finished and self.settlement.nothing_can_arrive:
                    # Only then: a cancel lets the broker feed the next worker at once, ahead of what is unfinished
                    # here or still on its way to us. A closed channel gives all of that back in order instead, at the
                    # price of one delivery count.
                    await cast("aiormq.Channel", await channel.get_underlay_channel()).basic_cancel(tag)
                await self.settlement.tell_the_rest()
        await self.release()
        return finished


def rendezvous_priority(worker_id: str, queue: str) -> int:
    """Each queue prefers another worker, and every worker agrees on which: 31 bits of a hash of the two names.

    RabbitMQ 4 gives a single-active-consumer queue to the highest priority; 3.10 to whoever came first.
    """
    return int.from_bytes(blake2b(f"{worker_id}/{queue}".encode(), digest_size=4).digest()) >> 1


def rabbit_broker(url: str, logger: logging.Logger) -> RabbitBroker:
    """A FastStream broker that only consumes: nothing is decoded, injected, replied to or settled behind our back."""
    logger.addFilter(_is_no_cancellation)
    return RabbitBroker(
        url,
        apply_types=False,
        parser=_as_it_came,
        ack_policy=AckPolicy.MANUAL,
        default_channel=Channel(on_return_raises=True),
        logger=logger,
        log_level=logging.DEBUG,
        graceful_timeout=None,
        timeout=_CONNECT_TIMEOUT_SECONDS,
        reconnect_interval=random.uniform(0.5, 1.5) * _RECONNECT_SECONDS,  # noqa: S311 - no secret; not all at once
    )


async def _as_it_came(message: DeliveredMessage) -> StreamMessage[DeliveredMessage]:
    name = message.header.properties.message_id or "without an id"  # else FastStream makes one
    return StreamMessage(message, message.body, correlation_id=name)


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    """When a connection breaks, every command in hand is cancelled and comes again: no news, and hundreds of it."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, asyncio.CancelledError)
