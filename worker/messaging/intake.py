"""Takes commands in: one FastStream subscriber for each command queue, every one on a channel of its own.

A delivery is decoded and takes its turn at the very moment it arrives, in `on_receive`, which never raises and never
awaits: one step later FastStream may already have changed the order.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import aiormq
from aio_pika.abc import AbstractIncomingMessage
from aiormq.exceptions import AMQPError, ChannelInvalidStateError
from faststream import AckPolicy, BaseMiddleware
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue

from contracts.channels import command_queues
from worker.messaging.decode import Decoder, Undecodable
from worker.messaging.delivery import Delivery
from worker.messaging.lanes import Lanes
from worker.messaging.settlement import Settlement

if TYPE_CHECKING:
    from faststream.message import StreamMessage
    from faststream.rabbit.subscriber.usecase import RabbitSubscriber

Process = Callable[[Delivery], Awaitable[None]]

_log = logging.getLogger(__name__)

_RPC_TIMEOUT_SECONDS = 5
_RECONNECT_SECONDS = 1


class Intake:
    """Feeds every command that arrives to `process`, with its delivery as it was made at arrival."""

    def __init__(self, broker: RabbitBroker, decoder: Decoder, process: Process) -> None:
        self._broker = broker
        self._decoder = decoder
        self._process = process
        self._lanes = Lanes()
        self._queues: dict[str, tuple[RabbitSubscriber, Settlement]] = {}

    def subscribe(self, worker_id: str, prefetch: int) -> None:
        """There is a subscriber for each command queue; none consumes before the broker starts."""
        for name in command_queues():
            settlement = Settlement(prefetch)
            subscriber = self._broker.subscriber(
                RabbitQueue(name, declare=False),
                channel=Channel(prefetch_count=prefetch, on_return_raises=True),
                consume_args={"x-priority": rendezvous_priority(worker_id, name)},
                ack_policy=AckPolicy.MANUAL,
                no_reply=True,
            )
            subscriber(self._handle)
            self._queues[name] = subscriber, settlement

    async def start(self) -> None:
        """Commands arrive from now on."""
        await self._broker.start()

    async def stop(self) -> None:
        """The consuming connection is closed; whatever is still unacknowledged goes back to its queue."""
        await self._broker.stop()

    async def _handle(self, delivery: Delivery) -> None:
        if not delivery.settlement.has_left:  # it goes back with the channel
            await self._process(delivery)

    def arrival(self, message: Any, /, *, context: Any) -> "Arrival":
        """The FastStream middleware that stands around one message."""
        return Arrival(message, self, context)

    def arrive(self, message: AbstractIncomingMessage, subscriber: Any) -> Delivery:
        """The delivery of a message that has just arrived, in its turn. Synchronous, and never raises."""
        _, settlement = self._queues[subscriber.queue.name]
        content = self._decoder.decode(message.body, message.content_type)
        turn = self._lanes.take(() if isinstance(content, Undecodable) else (content.ordering_key,))
        settlement.arrived()
        return Delivery(message, content, turn, settlement)

    async def unattached(self) -> list[str]:
        """The command queues that this worker does not consume just now, on a live channel."""
        consuming = await asyncio.gather(*(_is_consuming(subscriber) for subscriber, _ in self._queues.values()))
        return [name for name, attached in zip(self._queues, consuming, strict=True) if not attached]

    async def leave(self, timeout_seconds: float) -> bool:
        """Nothing is consumed any more, and what was in hand is finished and acknowledged; False: not all of it."""
        left = await asyncio.gather(*(self._leave(*queue, timeout_seconds) for queue in self._queues.values()))
        return all(left)

    async def _leave(self, subscriber: "RabbitSubscriber", settlement: Settlement, timeout_seconds: float) -> bool:
        finished = await settlement.finish(timeout_seconds)
        queue, tag = subscriber._queue_obj, subscriber._consumer_tag  # noqa: SLF001 - no public way to the consumer
        with contextlib.suppress(AMQPError, ChannelInvalidStateError, OSError, RuntimeError):
            if queue is None or tag is None or queue.channel.is_closed:
                return finished
            async with asyncio.timeout(_RPC_TIMEOUT_SECONDS):
                if finished and settlement.nothing_can_arrive:
                    # Only then: a cancel lets the broker feed the next worker at once, ahead of what is unfinished
                    # here or still on its way to us. A closed channel gives all of that back in order instead, at the
                    # price of one delivery count.
                    await queue.cancel(tag)
                await settlement.tell_the_rest()
                await queue.channel.close()
        return finished


class Arrival(BaseMiddleware[Any, Any]):
    """Stands around one message in FastStream: the delivery is made at its arrival and is given up in the end."""

    def __init__(self, message: AbstractIncomingMessage, intake: Intake, context: Any) -> None:
        super().__init__(message, context=context)
        self._intake = intake
        self._delivery: Delivery | None = None

    async def on_receive(self) -> None:
        """The message is decoded and has its turn."""
        self._delivery = self._intake.arrive(self.msg, self.context.get_local("handler_"))

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: "StreamMessage[Any]") -> Any:
        """The subscriber gets the delivery where others get a decoded body."""
        msg.set_decoder(self._as_delivery)
        return await call_next(msg)

    async def after_processed(self, kind: type[BaseException] | None = None, *_: object) -> bool:
        """A delivery that is finished, or cancelled with its channel, makes way for those behind it."""
        if self._delivery is None:
            return False
        if kind is None or issubclass(kind, asyncio.CancelledError):
            self._delivery.turn.give_up()
            self._delivery.settlement.gone()
        else:  # a bug of the worker itself: the command stays where it is, and nobody overtakes it
            self._delivery.settlement.stuck()
            _log.error("a delivery is stuck until this worker restarts: %s", kind.__name__)
        return False

    async def _as_delivery(self, _: "StreamMessage[Any]") -> Delivery | None:
        return self._delivery


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
        reconnect_interval=_RECONNECT_SECONDS,
    )


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    """When a connection breaks, every command in hand is cancelled and comes again: no news, and hundreds of it."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, asyncio.CancelledError)


async def _is_consuming(subscriber: "RabbitSubscriber") -> bool:
    queue, tag = subscriber._queue_obj, subscriber._consumer_tag  # noqa: SLF001 - ping() says yes without consumers
    if queue is None or tag is None or queue.channel.is_closed:
        return False
    try:
        async with asyncio.timeout(0.5):
            underlay = await queue.channel.get_underlay_channel()
    except (TimeoutError, AMQPError, ChannelInvalidStateError, RuntimeError):
        return False
    return isinstance(underlay, aiormq.Channel) and not underlay.is_closed and tag in underlay.consumers
