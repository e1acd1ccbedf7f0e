"""The exchanges, queues and bindings that the wire contract promises: declares them, or tells which are missing.

Every argument that keeps a command from being lost stands here and not in a policy that somebody may forget: the
type, one active consumer, the way to the dead letters, and an overflow that refuses instead of dropping.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity, ChannelPreconditionFailed

from contracts.channels import (
    COMMANDS,
    DEAD_LETTERS,
    EVENT_LOG,
    EVENTS,
    QUERIES,
    QUERY_TYPES,
    SLOTS,
    UNSLOTTED,
)
from worker.errors import TopologyError

_QUERY_TTL_MILLISECONDS = 30_000
_COMMAND_DELIVERY_LIMIT = 100
# At the broker's default of 20 a person who looks at a letter 21 times in the management page deletes it.
_LETTER_DELIVERY_LIMIT = 1_000_000

_COMMAND_QUEUE_ARGUMENTS: dict[str, Any] = {
    "x-queue-type": "quorum",
    "x-single-active-consumer": True,
    "x-delivery-limit": _COMMAND_DELIVERY_LIMIT,
    "x-dead-letter-exchange": DEAD_LETTERS,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",  # without it at-least-once is silently off
    "x-consumer-disconnected-timeout": 5000,  # clusters of 4.3 wait 60 s otherwise; older brokers ignore it
}


NODE_IS_DOWN = "inaccessible"  # a queue whose node is not there just now is "not found", too

_LOG_HINT = "set HEROES_EVENT_LOG_RETENTION_DAYS to the age it was declared with, or delete the stream"


class ForbiddenError(TopologyError):
    """This user may not declare it."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange to be there."""

    name: str
    type: str
    arguments: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "exchange"


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue to be there, bound to an exchange by each of the keys."""

    name: str
    arguments: dict[str, Any]
    exchange: str
    keys: tuple[str, ...] = ("",)
    kind: ClassVar[str] = "queue"


def exchanges() -> tuple[Exchange, ...]:
    """In the order in which they can be declared."""
    return (
        Exchange(DEAD_LETTERS, "fanout"),
        Exchange(UNSLOTTED, "fanout"),
        Exchange(COMMANDS, "direct", {"alternate-exchange": UNSLOTTED}),
        Exchange(EVENTS, "topic"),
        Exchange(QUERIES, "direct"),
    )


def queues(event_log_retention_days: int) -> Iterator[Queue]:
    """Every queue, the event log only where it is kept at all."""
    letters = {"x-queue-type": "quorum", "x-delivery-limit": _LETTER_DELIVERY_LIMIT}
    yield Queue(DEAD_LETTERS, letters, DEAD_LETTERS)
    for number in range(SLOTS):
        yield Queue(f"{COMMANDS}.{number:02d}", _COMMAND_QUEUE_ARGUMENTS, COMMANDS, (f"{number:02d}",))
    yield Queue(UNSLOTTED, _COMMAND_QUEUE_ARGUMENTS, UNSLOTTED)
    yield Queue(QUERIES, {"x-queue-type": "classic", "x-message-ttl": _QUERY_TTL_MILLISECONDS}, QUERIES, QUERY_TYPES)
    if event_log_retention_days:
        log = {"x-queue-type": "stream", "x-max-age": f"{event_log_retention_days}D"}
        yield Queue(EVENT_LOG, log, EVENTS, ("#",))


async def declare(connection: AbstractConnection, event_log_retention_days: int) -> None:
    """All of it is there afterwards; what was there already stays as it is. May run twice, also at the same time.

    Raises:
        TopologyError: something stands there with other arguments, or this user may not declare it.
    """
    for thing in everything(event_log_retention_days):
        channel = await connection.channel()
        await declare_one(channel, thing)
        await channel.close()


def everything(event_log_retention_days: int) -> tuple[Exchange | Queue, ...]:
    """In the order in which it can be declared."""
    return (*exchanges(), *queues(event_log_retention_days))


async def declare_one(channel: AbstractChannel, thing: Exchange | Queue, *, bind: bool = True) -> None:
    """It is there, with its arguments.

    Raises:
        ForbiddenError: this user may not declare it.
        TopologyError: it is there with other arguments.
    """
    with _explained(thing):
        await _declare(channel, thing, bind=bind)


async def _declare(channel: AbstractChannel, thing: Exchange | Queue, *, bind: bool) -> None:
    if isinstance(thing, Exchange):
        await channel.declare_exchange(thing.name, thing.type, durable=True, arguments=thing.arguments)
        return
    queue = await channel.declare_queue(thing.name, durable=True, arguments=thing.arguments)
    for key in thing.keys if bind else ():
        await queue.bind(thing.exchange, routing_key=key)


async def missing(connection: AbstractConnection, event_log_retention_days: int) -> list[str]:
    """The exchanges and queues that are not there. AMQP can't be asked for arguments or bindings without declaring."""
    things = everything(event_log_retention_days)
    return [f"{thing.kind} {thing.name}" for thing in things if not await _exists(connection, thing)]


async def verify(connection: AbstractConnection, event_log_retention_days: int) -> None:
    """Nothing is missing.

    Raises:
        TopologyError: this is.
    """
    if names := await missing(connection, event_log_retention_days):
        raise TopologyError(f"RabbitMQ lacks {', '.join(names)}", "run heroes setup")


async def _exists(connection: AbstractConnection, thing: Exchange | Queue) -> bool:
    channel = await connection.channel()
    look = channel.get_exchange if isinstance(thing, Exchange) else channel.get_queue
    try:
        await look(thing.name, ensure=True)
    except ChannelNotFoundEntity as error:
        if NODE_IS_DOWN in str(error):
            raise ConnectionError(f"{thing.kind} {thing.name}: its node is not there just now") from error
        return False
    except ChannelAccessRefused:
        raise TopologyError(f"{thing.kind} {thing.name}: this user has no permission for it") from None
    await channel.close()
    return True


@contextmanager
def _explained(thing: Exchange | Queue) -> Iterator[None]:
    """Turns the broker's refusals into sentences that say what to do."""
    name = f"{thing.kind} {thing.name}"
    try:
        yield
    except ChannelPreconditionFailed as error:
        hint = _LOG_HINT if thing.name == EVENT_LOG else "delete it once it is empty"
        raise TopologyError(
            f"{name} is there, but not as it should be ({error})", f"{hint}, then run heroes setup again"
        ) from error
    except ChannelNotFoundEntity as error:
        raise TopologyError(f"{name} can't be bound, its exchange is missing", "run heroes setup") from error
    except ChannelAccessRefused as error:
        raise ForbiddenError(f"{name}: this user may not declare it", "run this as the user who may") from error
