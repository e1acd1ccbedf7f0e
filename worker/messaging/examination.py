"""Looks at each exchange and queue as this user may: is it there, is it as declared, what may this user do with it.

Nothing changes by it and nothing is taken. For a right it makes a request that the broker refuses to everybody (a
priority that is no number, an expiration that is none), but only after it has looked at the right.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq import spec
from aiormq.exceptions import (
    ChannelAccessRefused,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)

from contracts.channels import DEAD_LETTERS, EVENTS, QUERIES, command_queues
from worker.errors import TopologyError, UnavailableError
from worker.messaging.topology import NODE_IS_DOWN, Exchange, ForbiddenError, Queue, declare_one, everything

CONSUMED = (*command_queues(), QUERIES)
PUBLISHED = {"the default exchange, for replies": "", EVENTS: EVENTS, DEAD_LETTERS: DEAD_LETTERS}

_NEVER_BOUND = "never bound"
_BLOCKED_SECONDS = 2.0
_CLOSE_SECONDS = 1.0

Ask = Callable[[Any], Awaitable[object]]


class BlockedError(UnavailableError):
    """The broker takes no publication just now: a memory or disk alarm."""


class State(Enum):
    """What there is under a name."""

    HERE = "here"
    MISSING = "missing"
    DOWN = "down"  # its node is not there just now
    HIDDEN = "hidden"  # this user may not even look


class Right(Enum):
    """What a user may do with a queue or an exchange."""

    DECLARE = "declare"
    BIND = "bind"
    CONSUME = "consume"


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing. `wrong`: what the broker said when it was compared; rights that were not asked for are absent."""

    thing: Exchange | Queue
    state: State
    ready: int = 0
    consumers: int = 0
    wrong: TopologyError | None = None
    may: Mapping[Right, bool] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """With its kind."""
        return f"{self.thing.kind} {self.thing.name}"


async def examined(connection: AbstractConnection, event_log_retention_days: int) -> AsyncGenerator[Seen, None]:
    """One after the other, in the order of the topology.

    Raises:
        AMQPError, OSError: the connection was lost.
    """
    for thing in everything(event_log_retention_days):
        seen = await _present(connection, thing)
        yield await _looked_into(connection, seen) if seen.state is State.HERE else seen


async def refused_publications(connection: AbstractConnection) -> list[str]:
    """To which exchanges this user may not publish, of those that a worker publishes to; none of it arrives anywhere.

    Raises:
        BlockedError: nobody may publish just now.
    """
    try:
        async with asyncio.timeout(_BLOCKED_SECONDS):
            return [
                shown
                for shown, name in PUBLISHED.items()
                if not await _may(connection, partial(_publish, exchange=name))
            ]
    except TimeoutError:
        raise BlockedError("the broker takes no publications: its memory or disk alarm is on") from None


async def _present(connection: AbstractConnection, thing: Exchange | Queue) -> Seen:
    channel = await connection.channel(publisher_confirms=False)
    ready = consumers = 0
    try:
        if isinstance(thing, Exchange):
            await channel.get_exchange(thing.name, ensure=True)
        else:
            told = (await channel.declare_queue(thing.name, passive=True)).declaration_result
            ready, consumers = told.message_count or 0, told.consumer_count or 0
    except ChannelNotFoundEntity as error:
        return Seen(thing, State.DOWN if NODE_IS_DOWN in str(error) else State.MISSING)
    except ChannelAccessRefused:
        return Seen(thing, State.HIDDEN)
    await channel.close()
    return Seen(thing, State.HERE, ready, consumers)


async def _looked_into(connection: AbstractConnection, seen: Seen) -> Seen:
    """To declare again what is there changes nothing; nor does to unbind what was never bound."""
    thing, may = seen.thing, dict[Right, bool]()
    may_declare, wrong = await _compared(connection, thing)
    may[Right.DECLARE] = may_declare
    if isinstance(thing, Queue):
        if thing.name in CONSUMED:
            may[Right.CONSUME] = await _may(connection, partial(_consume, queue=thing.name))
        if may_declare:
            may[Right.BIND] = await _may(connection, partial(_unbind, thing=thing))
    return Seen(thing, seen.state, seen.ready, seen.consumers, wrong, may)


async def _compared(connection: AbstractConnection, thing: Exchange | Queue) -> tuple[bool, TopologyError | None]:
    channel = await connection.channel(publisher_confirms=False)
    try:
        await declare_one(channel, thing, bind=False)
    except ForbiddenError:
        return False, None
    except TopologyError as error:
        return True, error
    await channel.close()
    return True, None


async def _may(connection: AbstractConnection, ask: Ask) -> bool:
    channel = await connection.channel()
    try:
        await ask(await channel.get_underlay_channel())
    except ChannelAccessRefused:
        return False
    except (ChannelPreconditionFailed, ChannelNotFoundEntity):
        return True
    await _closed(channel)
    return True


async def _closed(channel: AbstractChannel) -> None:
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await channel.close()
    except (TimeoutError, ChannelInvalidStateError):
        pass  # it goes with the connection


async def _publish(channel: Any, *, exchange: str) -> None:
    """Refused twice over: an expiration that is no number, and a sender who is somebody else."""
    refused = spec.Basic.Properties(expiration="never", user_id="nobody")
    await channel.basic_publish(b"", exchange=exchange, routing_key="", properties=refused)


async def _consume(channel: Any, *, queue: str) -> None:
    async def take(_: object) -> None:
        """Never called."""

    await channel.basic_consume(queue, take, arguments={"x-priority": "none"})


async def _unbind(channel: Any, *, thing: Queue) -> None:
    await channel.queue_unbind(thing.name, thing.exchange, routing_key=_NEVER_BOUND)
