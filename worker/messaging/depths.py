"""How many messages stand in each queue, and how many consume it: asked over AMQP, without the management plugin.

A queue that can't be looked at gets a word in its place and spoils no other.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from aio_pika.abc import AbstractConnection
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity

MISSING = "missing"
FORBIDDEN = "this user may not look at it"


@dataclass(frozen=True, slots=True)
class Depth:
    """What the broker says of one queue, or why it says nothing."""

    queue: str
    ready: int | None = None
    consumers: int | None = None
    word: str = ""


async def depths(connection: AbstractConnection, queues: Iterable[str]) -> list[Depth]:
    """One for each queue, in the same order.

    Raises:
        AMQPError, ConnectionError: the connection was lost.
    """
    return [await _depth(connection, queue) for queue in queues]


async def _depth(connection: AbstractConnection, queue: str) -> Depth:
    channel = await connection.channel(publisher_confirms=False)  # each its own: a refusal closes it
    try:
        declared = (await channel.declare_queue(queue, passive=True)).declaration_result
    except ChannelNotFoundEntity:
        return Depth(queue, word=MISSING)
    except ChannelAccessRefused:
        return Depth(queue, word=FORBIDDEN)
    await channel.close()
    return Depth(queue, declared.message_count, declared.consumer_count)
