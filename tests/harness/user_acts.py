"""What a user of the broker may attempt, one act each on a channel; the broker lets it pass or refuses it."""

from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel

from tests.harness.shipped import APP

NAMED, OTHER = f"heroes.events.{APP}", "heroes.events.other"  # of the application that was set up, and of another
COMMANDS, SLOT, UNSLOTTED = "heroes.commands", "heroes.commands.00", "heroes.commands.unslotted"
EVENTS, LOG, QUERIES, LETTERS = "heroes.events", "heroes.events.log", "heroes.queries", "heroes.dead_letters"


async def publish(channel: AbstractChannel, exchange: str, body: bytes = b"{}", routing_key: str = "00") -> None:
    """A message to this exchange, or to the default one where it has no name."""
    target = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
    await target.publish(aio_pika.Message(body, delivery_mode=2), routing_key)


async def consume(channel: AbstractChannel, queue: str) -> None:
    """Deliveries from this queue are wanted; whatever comes is left unacknowledged."""

    async def forget(_: object) -> None: ...

    arguments: dict[str, Any] = {"x-stream-offset": "first"} if queue == LOG else {}
    await channel.set_qos(1)
    await (await channel.get_queue(queue, ensure=False)).consume(forget, arguments=arguments)


async def purge(channel: AbstractChannel, queue: str) -> None:
    """What stands ready in the queue is gone."""
    await (await channel.get_queue(queue, ensure=False)).purge()


async def delete_queue(channel: AbstractChannel, queue: str) -> None:
    """The queue is gone, if it was there."""
    await channel.queue_delete(queue)


async def delete_exchange(channel: AbstractChannel, exchange: str) -> None:
    """The exchange is gone, if it was there."""
    await channel.exchange_delete(exchange)


async def declare_queue(channel: AbstractChannel, queue: str) -> None:
    """A quorum queue."""
    await channel.declare_queue(queue, durable=True, arguments={"x-queue-type": "quorum"})


async def declare_exchange(channel: AbstractChannel, exchange: str) -> None:
    """A fanout exchange."""
    await channel.declare_exchange(exchange, "fanout", durable=True)


async def bind(channel: AbstractChannel, queue: str, exchange: str) -> None:
    """The queue gets all from this exchange."""
    await (await channel.get_queue(queue, ensure=False)).bind(exchange, routing_key="#")


async def unbind(channel: AbstractChannel, queue: str, exchange: str) -> None:
    """The queue does not get slot 00 from this exchange."""
    await (await channel.get_queue(queue, ensure=False)).unbind(exchange, routing_key="00")
