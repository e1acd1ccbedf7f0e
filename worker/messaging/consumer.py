"""The consumer of one command queue, on a channel of its own: attached, let go, taken up again, left.

Here alone stands what FastStream has no public way to. A consumer is never cancelled while a delivery of its own is
unfinished: the broker would feed the next worker at once, ahead of what is still here.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Any, cast

import aiormq
from aio_pika.abc import AbstractRobustChannel
from aiormq.exceptions import AMQPError, ChannelInvalidStateError
from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue

from worker.messaging.settlement import Settlement

_RPC_TIMEOUT_SECONDS = 5
_ATTACH_TIMEOUT_SECONDS = 20  # 3.10 takes its time to accept a consumer after a restart
_CONNECT_TIMEOUT_SECONDS = 5
_RECONNECT_SECONDS = 1.0


class Consumer:
    """Hands every delivery of one queue to `handle`; the settlement knows what is in hand."""

    def __init__(
        self, broker: RabbitBroker, queue: str, worker_id: str, prefetch: int, handle: Callable[[Any], Awaitable[None]]
    ) -> None:
        self.queue = queue
        self.settlement = Settlement(prefetch)
        self._subscriber = broker.subscriber(
            # Not robust: on a new connection the client would consume all queues again or, for want of one, none.
            RabbitQueue(queue, declare=False, robust=False),
            channel=Channel(prefetch_count=prefetch, on_return_raises=True),
            consume_args={"x-priority": rendezvous_priority(worker_id, queue)},
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
        )
        self._subscriber(handle)
        self._is_released = False

    async def is_attached(self) -> bool:
        """The queue is consumed on a live channel."""
        queue, tag = self._subscriber._queue_obj, self._subscriber._consumer_tag  # noqa: SLF001 - no public way
        if queue is None or tag is None or queue.channel.is_closed:
            return False
        try:
            async with asyncio.timeout(0.5):
                underlay = await queue.channel.get_underlay_channel()
        except (TimeoutError, AMQPError, ChannelInvalidStateError, RuntimeError):
            return False
        return isinstance(underlay, aiormq.Channel) and not underlay.is_closed and tag in underlay.consumers

    async def attach(self) -> None:
        """The queue is consumed, for the first time or again.

        Raises:
            Exception: it can't be, just now.
        """
        queue = self._subscriber._queue_obj  # noqa: SLF001 - no public way
        async with asyncio.timeout(_ATTACH_TIMEOUT_SECONDS):
            if queue is not None and self._is_released:
                await queue.channel.reopen()
            elif queue is not None:
                # The client may be at it, too: `restore` waits for it, where `reopen` would make a second channel.
                await cast("AbstractRobustChannel", queue.channel).restore()
            self._is_released = False
            await self._subscriber.start()

    async def release(self) -> None:
        """Whatever is in hand is cancelled here and has gone back to its queue, in order."""
        queue = self._subscriber._queue_obj  # noqa: SLF001 - no public way
        if queue is not None:
            self._is_released = True
            with contextlib.suppress(AMQPError, ChannelInvalidStateError, OSError, RuntimeError):
                async with asyncio.timeout(_RPC_TIMEOUT_SECONDS):
                    await queue.channel.close()

    async def leave(self, timeout_seconds: float) -> bool:
        """What was in hand is finished and acknowledged, and the queue is left; False: not all of it, in that time."""
        finished = await self.settlement.finish(timeout_seconds)
        queue, tag = self._subscriber._queue_obj, self._subscriber._consumer_tag  # noqa: SLF001 - no public way
        with contextlib.suppress(AMQPError, ChannelInvalidStateError, OSError, RuntimeError):
            if queue is None or queue.channel.is_closed:
                return finished
            async with asyncio.timeout(_RPC_TIMEOUT_SECONDS):
                if tag is not None and finished and self.settlement.nothing_can_arrive:
                    # Only then: a cancel lets the broker feed the next worker at once, ahead of what is unfinished
                    # here or still on its way to us. A closed channel gives all of that back in order instead, at the
                    # price of one delivery count.
                    await queue.cancel(tag)
                await self.settlement.tell_the_rest()
                await queue.channel.close()
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
        ack_policy=AckPolicy.MANUAL,
        default_channel=Channel(on_return_raises=True),
        logger=logger,
        log_level=logging.DEBUG,
        graceful_timeout=None,
        timeout=_CONNECT_TIMEOUT_SECONDS,
        reconnect_interval=random.uniform(0.5, 1.5) * _RECONNECT_SECONDS,  # noqa: S311 - no secret; not all at once
    )


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    """When a connection breaks, every command in hand is cancelled and comes again: no news, and hundreds of it."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, asyncio.CancelledError)
