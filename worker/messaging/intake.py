"""Takes commands in: what arrives from any command queue is decoded, takes its turn and goes to the pipeline.

Both happen at the very moment of arrival, in `on_receive`, which never raises and never awaits: one step later
FastStream may already have changed the order.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelAccessRefused
from faststream import BaseMiddleware
from faststream.rabbit import RabbitBroker

from contracts.channels import COMMANDS, UNSLOTTED, command_queues
from contracts.envelope import Command
from worker.errors import TopologyError
from worker.failsafe import Failure, caught
from worker.messaging.consumer import Consumer
from worker.messaging.decode import Decoder, traits_of
from worker.messaging.delivery import Delivery
from worker.messaging.lanes import Lanes
from worker.messaging.settlement import Settlement
from worker.watch import Sighting, Watch

if TYPE_CHECKING:
    from faststream.message import StreamMessage

Process = Callable[[Delivery], Awaitable[None]]

_log = logging.getLogger(__name__)


class Intake:
    """Feeds everything that arrives to whoever processes it, with its delivery as it was made at arrival."""

    def __init__(self, broker: RabbitBroker, worker_id: str, watch: Watch | None = None) -> None:
        self._broker = broker
        self._worker_id = worker_id
        self._watch = watch or Watch()
        self._lanes = Lanes()
        self._lines: dict[str, Line] = {}
        self.is_released = False

    def subscribe(self, queue: str, decoder: Decoder, process: Process, prefetch: int) -> None:
        """There is a consumer for this queue; it is not attached before `start`."""

        async def handle(delivery: Delivery) -> None:
            if not delivery.settlement.has_left:  # it goes back with the channel
                await process(delivery)

        watch = self._watch if queue in command_queues() else Watch()
        self._lines[queue] = Line(Consumer(self._broker, queue, self._worker_id, prefetch, handle), decoder, watch)

    async def start(self) -> None:
        """Connected; commands arrive from every queue that can be consumed, and `attach` takes up the others.

        Raises:
            AMQPError, OSError: the broker is not there.
            TopologyError: this user may not consume a queue: neither waiting nor trying again would help.
        """
        connection = await self._broker.connect()
        connection.reconnect_callbacks.add(self._reconnected)  # once, however often the start is tried
        for queue, failure in (await self._failures()).items():
            if isinstance(failure.error, ChannelAccessRefused):
                raise TopologyError(f"queue {queue}: this user has no permission to consume it")

    async def stop(self) -> None:
        """The consuming connection is closed; whatever is still unacknowledged goes back to its queue."""
        await self._broker.stop()

    @property
    def queues(self) -> tuple[str, ...]:
        """Everything that this worker should consume."""
        return tuple(self._lines)

    def settlements(self) -> dict[str, Settlement]:
        """What is in hand, for each command queue."""
        return {queue: line.consumer.settlement for queue, line in self._lines.items() if queue in command_queues()}

    @property
    def lanes_waiting(self) -> int:
        """Commands in hand whose turn has not come."""
        return self._lanes.waiting

    async def unattached(self) -> list[str]:
        """The queues that this worker does not consume just now, on a live channel."""
        attached = await asyncio.gather(*(line.consumer.is_attached() for line in self._lines.values()))
        return [queue for queue, yes in zip(self._lines, attached, strict=True) if not yes]

    async def attach(self) -> list[str]:
        """Every queue is consumed that can be; says which can't. May be called at any time, again and again."""
        return list(await self._failures())

    async def _failures(self) -> dict[str, Failure]:
        """Every queue is consumed that can be; why the others can't."""
        self.is_released = False
        lost = await self.unattached()
        results = await asyncio.gather(*(caught(self._lines[queue].consumer.attach) for queue in lost))
        return {queue: result for queue, result in zip(lost, results, strict=True) if isinstance(result, Failure)}

    async def release(self) -> None:
        """No command is consumed until `attach`, and what was in hand has gone back to its queue, in order."""
        await asyncio.gather(*(self._lines[queue].consumer.release() for queue in command_queues()))
        self.is_released = True

    async def leave(self, timeout_seconds: float) -> bool:
        """Nothing is consumed any more, and what was in hand is finished and acknowledged; False: not all of it."""
        left = await asyncio.gather(*(line.consumer.leave(timeout_seconds) for line in self._lines.values()))
        return all(left)

    def arrival(self, message: Any, /, *, context: Any) -> "Arrival":
        """The FastStream middleware that stands around one message."""
        return Arrival(message, self, context)

    def arrive(self, message: DeliveredMessage, queue: str) -> Delivery:
        """The delivery of a message that has just arrived, in its turn. Synchronous, and never raises."""
        line = self._lines[queue]
        properties = message.header.properties
        settlement = line.consumer.settlement
        content = line.decoder.decode(message.body, properties.content_type)
        turn = self._lanes.take(content.ordering_keys if isinstance(content, Command) else ())
        settlement.arrived()
        traits = traits_of(content)
        misrouted = isinstance(content, Command) and queue not in {UNSLOTTED, f"{COMMANDS}.{content.routing_key}"}
        journey = line.watch.arrived(Sighting(queue, traits, properties.timestamp, len(message.body), misrouted))
        if isinstance(content, Command):
            content = journey.marked(content)
        return Delivery(message, content, turn, settlement, traits, journey)

    def _reconnected(self, *_: object) -> None:
        self._watch.reconnected("consuming")


@dataclass(frozen=True, slots=True)
class Line:
    """One queue: its consumer, and what understands its messages."""

    consumer: Consumer
    decoder: Decoder
    watch: Watch


class Arrival(BaseMiddleware[Any, Any]):
    """Stands around one message in FastStream: the delivery is made at its arrival and is given up in the end."""

    def __init__(self, message: DeliveredMessage, intake: Intake, context: Any) -> None:
        super().__init__(message, context=context)
        self._intake = intake
        self._delivery: Delivery | None = None

    async def on_receive(self) -> None:
        """The message is decoded and has its turn."""
        self._delivery = self._intake.arrive(self.msg, self.context.get_local("handler_").queue.name)

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
        self._delivery.journey.gone()
        return False

    async def _as_delivery(self, _: "StreamMessage[Any]") -> Delivery | None:
        return self._delivery
