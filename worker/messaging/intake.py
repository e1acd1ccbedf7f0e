"""Takes commands in: what arrives from any command queue is decoded, takes its turn and goes to the pipeline.

Both happen at the very moment of arrival, in `arrive`, which awaits nothing; where it raises, that is a bug.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelAccessRefused
from faststream.rabbit import RabbitBroker

from contracts.channels import COMMANDS, UNSLOTTED, command_queues
from contracts.envelope import Command
from worker.errors import TopologyError, in_code
from worker.failsafe import Failure, attempted, caught
from worker.messaging.arrival import Arrival
from worker.messaging.consumer import Consumer
from worker.messaging.decode import Decoder, traits_of
from worker.messaging.delivery import Delivery
from worker.messaging.lanes import Lanes
from worker.messaging.settlement import Settlement
from worker.messaging.share import Share
from worker.watch import Sighting, Watch

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
        self._share = Share()
        self.is_released = False

    def subscribe(self, queue: str, decoder: Decoder, process: Process, prefetch: int) -> None:
        """There is a consumer for this queue; it is not attached before `start`."""

        async def handle(delivery: Delivery) -> None:
            if not delivery.settlement.has_left:  # it goes back with the channel
                await process(delivery)

        watch = self._watch if queue in command_queues() else Watch()
        self._lines[queue] = Line(Consumer(self._broker, queue, self._worker_id, prefetch, handle), decoder, watch)

    async def start(self, share: Share | None = None) -> None:
        """Connected; commands arrive from every queue of the share that can be consumed. `attach` takes up the others.

        Raises:
            AMQPError, OSError: the broker is not there.
            TopologyError: this user may not consume a queue: neither waiting nor trying again would help.
        """
        self._share = share or self._share
        connection = await self._broker.connect()
        connection.reconnect_callbacks.add(self._reconnected)  # once, however often the start is tried
        for queue, failure in (await self._attach_due()).items():
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

    def is_due(self, queue: str) -> bool:
        """It is this worker's to consume by now: not another process's that is still given time to come."""
        return self._share.is_due(queue)

    async def attach(self) -> list[str]:
        """Every queue is consumed that is due and can be; says which can't. May be called at any time and again."""
        return list(await self._attach_due())

    async def _attach_due(self) -> dict[str, Failure]:
        """As `attach`, with the reason why each can't be."""
        self.is_released = False
        due = self._share.taken_up(await self.unattached())
        results = await asyncio.gather(*(caught(self._lines[queue].consumer.attach) for queue in due))
        return {queue: result for queue, result in zip(due, results, strict=True) if isinstance(result, Failure)}

    async def release(self) -> None:
        """No command is consumed until `attach`, and what was in hand has gone back to its queue, in order."""
        await asyncio.gather(*(self._lines[queue].consumer.release() for queue in command_queues()))
        self.is_released = True

    async def leave(self, timeout_seconds: float) -> bool:
        """Nothing is consumed any more, and what was in hand is finished and acknowledged; False: not all of it."""
        left = await asyncio.gather(*(line.consumer.leave(timeout_seconds) for line in self._lines.values()))
        return all(left)

    def arrival(self, message: Any, /, *, context: Any) -> Arrival:
        """The FastStream middleware that stands around one message."""
        return Arrival(message, self.arrive, context)

    def arrive(self, message: DeliveredMessage, queue: str) -> Delivery:
        """The delivery of a message that has just arrived, in its turn. Synchronous.

        Raises:
            RuntimeError: there is a bug; the message is counted as stuck, so that no ack covers it.
        """
        line = self._lines[queue]
        line.consumer.settlement.arrived()
        made = attempted(self._delivery, line, message, queue)
        if isinstance(made, Failure):
            line.consumer.settlement.stuck()
            _log.error("a message of %s is stuck until its channel is closed: %s", queue, in_code(made.error))
            # Without its cause: FastStream logs it, and the cause's text may hold values of fields.
            raise RuntimeError("it could not be taken in")  # noqa: TRY004 - of whatever kind the cause was
        return made

    def _delivery(self, line: "Line", message: DeliveredMessage, queue: str) -> Delivery:
        properties = message.header.properties
        content = line.decoder.decode(message.body, properties.content_type)
        turn = self._lanes.take(content.ordering_keys if isinstance(content, Command) else ())
        try:
            traits = traits_of(content)
            misrouted = isinstance(content, Command) and queue not in {UNSLOTTED, f"{COMMANDS}.{content.routing_key}"}
            journey = line.watch.arrived(Sighting(queue, traits, properties.timestamp, len(message.body), misrouted))
            if isinstance(content, Command):
                content = journey.marked(content)
        except BaseException:
            message.channel.closing.add_done_callback(lambda _: turn.give_up())  # as of any other that is stuck
            raise
        return Delivery(message, content, turn, line.consumer.settlement, traits, journey)

    def _reconnected(self, *_: object) -> None:
        self._watch.reconnected("consuming")


@dataclass(frozen=True, slots=True)
class Line:
    """One queue: its consumer, and what understands its messages."""

    consumer: Consumer
    decoder: Decoder
    watch: Watch
