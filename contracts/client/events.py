"""Follows events: from a queue of one's own, from the event log, or first the one and then the other.

An event is acknowledged when the body of the loop comes back for the next one; what was not acknowledged comes again.
"""

import asyncio
import contextlib
import random
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any, Literal

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from pydantic import TypeAdapter, ValidationError

from contracts.channels import EVENT_LOG, EVENTS
from contracts.client.errors import ClientError
from contracts.client.link import REFUSALS, connect
from contracts.heroes import AnyEvent

_PREFETCH = 100
_SILENCE_SECONDS = 1.0
_RECONNECT_SECONDS = 0.5
_DELIVERY_LIMIT = 20
_LETTER_LIMIT = 1_000_000


class Follower:
    """Everything that one loop over events needs.

    `queue` names a durable queue `heroes.events.QUEUE` with a dead-letter queue of its own: nothing is missed between
    two runs. Without it, events are followed for as long as the loop runs. `from_` reads history from the event log
    first: from its start, or from a moment. `remember` ids of the last events are kept, and repeats are dropped.
    """

    def __init__(self, url: str, queue: str | None, from_: Literal["new", "start"] | datetime, remember: int) -> None:
        self._url = url
        self._name = queue
        self._from = from_
        self._remember = remember
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._adapter: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)

    async def follow(self) -> AsyncGenerator[AnyEvent, None]:
        """Event after event, without end; the connection may be lost and come back meanwhile.

        Raises:
            ConnectionError: the broker can't be reached at all, or refuses the user.
            ClientError: the queue can't be had, or there is no event log.
        """
        await (await connect(self._url)).close()
        while True:
            try:
                async with await connect(self._url) as connection:
                    channel = await connection.channel()
                    await channel.set_qos(prefetch_count=_PREFETCH)
                    # Closed with this one, not by the collector: what it tidies up needs its channel.
                    async with contextlib.aclosing(self._from_one_connection(channel)) as events:
                        async for event in events:
                            yield event
            except REFUSALS as error:
                raise ClientError(f"these events can't be followed: {error}") from error
            except CONNECTION_EXCEPTIONS:
                await asyncio.sleep(random.uniform(0.5, 1.5) * _RECONNECT_SECONDS)  # noqa: S311 - not a secret

    async def _from_one_connection(self, channel: AbstractChannel) -> AsyncGenerator[AnyEvent, None]:
        arrivals = await self._consume(channel)
        if self._from != "new":
            async with contextlib.aclosing(self._history(channel, arrivals)) as events:
                async for event in events:
                    yield event
            self._from = "new"
        while True:
            message = await arrivals.next()
            known = self._understood(message)
            if known is not None:
                yield known
            await message.ack()

    async def _consume(self, channel: AbstractChannel) -> "_Arrivals":
        """What arrives in the own queue from now on."""
        arrivals = _Arrivals()
        channel.close_callbacks.add(arrivals.end)
        queue = await (self._declare_own(channel) if self._name else channel.declare_queue(exclusive=True))
        await queue.bind(EVENTS, "#")
        await queue.consume(arrivals.put)
        return arrivals

    async def _declare_own(self, channel: AbstractChannel) -> Any:
        own = f"{EVENTS}.{self._name}"
        dead = await channel.declare_exchange(f"{own}.dead", "fanout", durable=True)
        limit: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": _LETTER_LIMIT}
        await (await channel.declare_queue(f"{own}.dead", durable=True, arguments=limit)).bind(dead)
        arguments: dict[str, Any] = {
            "x-queue-type": "quorum",
            "x-dead-letter-exchange": f"{own}.dead",
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
            "x-delivery-limit": _DELIVERY_LIMIT,
        }
        return await channel.declare_queue(own, durable=True, arguments=arguments)

    async def _history(self, channel: AbstractChannel, arrivals: "_Arrivals") -> AsyncGenerator[AnyEvent, None]:
        """The event log up to where the own queue begins, or up to its present end."""
        log = await channel.get_queue(EVENT_LOG, ensure=False)
        past = _Arrivals()
        channel.close_callbacks.add(past.end)
        offset = "first" if self._from == "start" else self._from
        tag = await log.consume(past.put, arguments={"x-stream-offset": offset})
        try:
            while (message := await past.next_soon()) is not None:
                own = arrivals.waiting[0] if arrivals.waiting else None
                await message.ack()
                if own is not None and own.message_id == message.message_id:
                    break  # from here on the own queue has everything
                known = self._understood(message)
                if known is not None:
                    yield known
        finally:
            with contextlib.suppress(*CONNECTION_EXCEPTIONS):
                await log.cancel(tag)

    def _understood(self, message: AbstractIncomingMessage) -> AnyEvent | None:
        """The event; None for a repeat, and for a type that this version does not know."""
        event_id = message.message_id or ""
        if event_id in self._seen:
            return None
        if self._remember:
            self._seen[event_id] = None
            if len(self._seen) > self._remember:
                self._seen.popitem(last=False)
        try:
            return self._adapter.validate_json(message.body)
        except ValidationError:
            return None


class _Arrivals:
    """What came and was not looked at yet."""

    def __init__(self) -> None:
        self.waiting: deque[AbstractIncomingMessage] = deque()
        self._changed = asyncio.Event()
        self._is_over = False

    async def put(self, message: AbstractIncomingMessage) -> None:
        """One more came."""
        self.waiting.append(message)
        self._changed.set()

    def end(self, *_: object) -> None:
        """No more will come."""
        self._is_over = True
        self._changed.set()

    async def next(self) -> AbstractIncomingMessage:
        """The next one. Raises: ConnectionError if none will come."""
        while not self.waiting:
            if self._is_over:
                raise ConnectionError("the connection was lost")
            self._changed.clear()
            await self._changed.wait()
        return self.waiting.popleft()

    async def next_soon(self) -> AbstractIncomingMessage | None:
        """The next one; None when it has been silent for so long that the end must be reached."""
        try:
            async with asyncio.timeout(_SILENCE_SECONDS):
                return await self.next()
        except TimeoutError:
            return None
