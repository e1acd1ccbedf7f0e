"""Sends requests and matches the replies, any number at once; knows no hero.

A request whose connection was lost is sent again, the very same, until its time is over. For one ordering key one
unconfirmed command at a time: were the first refused, the second would overtake it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4
from weakref import WeakValueDictionary

from contracts.channels import COMMANDS, QUERIES
from contracts.client.errors import NotConfirmedError, NotPreparedError, OutcomeTimeoutError, QueryFailedError
from contracts.client.link import Link, Lost, NoExchange, Refused, Session
from contracts.envelope import Command, Query, Request

_NO_ANSWER = "the connection was lost, or the broker did not answer in time"


class Caller:
    """One link, and everybody who waits for a reply over it."""

    def __init__(self, url: str, timeout_seconds: float, in_flight: int) -> None:
        self.link = Link(url, self._on_reply)
        self._timeout_seconds = timeout_seconds
        self._in_flight = asyncio.Semaphore(in_flight)
        self._waiting: dict[str, asyncio.Future[bytes]] = {}
        self._in_order: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def send(self, command: Command) -> None:
        """The broker has the command.

        Raises:
            NotConfirmedError: it may or may not have it.
        """
        async with self._in_flight:
            await self._confirmed(command, correlation_id=None)

    async def call(self, command: Command) -> bytes:
        """The reply that tells what became of the command.

        Raises:
            NotConfirmedError: the broker may or may not have the command.
            OutcomeTimeoutError: the broker has it, but no outcome came in time.
        """
        confirmed = False
        async with self._in_flight, self._reply() as (correlation_id, reply):

            async def send() -> Session:
                nonlocal confirmed
                session = await self._confirmed(command, correlation_id=correlation_id)
                confirmed = True
                return session

            try:
                return await self._answered(send, reply)
            except TimeoutError:
                if confirmed:
                    raise OutcomeTimeoutError(command.id) from None
                raise NotConfirmedError(command.id, _NO_ANSWER) from None

    async def ask(self, query: Query) -> bytes:
        """The reply to a query.

        Raises:
            QueryFailedError: nobody answered in time.
        """
        async with self._in_flight, self._reply() as (correlation_id, reply):
            try:
                return await self._answered(lambda: self._published(query, QUERIES, query.type, correlation_id), reply)
            except TimeoutError:
                raise QueryFailedError(
                    "timeout", "no worker answered in time: is one at work? Asking again is safe"
                ) from None
            except NoExchange as missing:
                raise QueryFailedError("unprepared", str(missing)) from None
            except Refused as refused:
                raise QueryFailedError("unavailable", str(refused)) from None

    async def _confirmed(self, command: Command, *, correlation_id: str | None) -> Session:
        turn = self._in_order.setdefault(command.ordering_key, asyncio.Lock())
        try:
            async with asyncio.timeout(self._timeout_seconds), turn:
                return await self._published(command, COMMANDS, command.routing_key, correlation_id)
        except TimeoutError:
            raise NotConfirmedError(command.id, _NO_ANSWER) from None
        except NoExchange as missing:
            raise NotPreparedError(command.id, str(missing)) from None
        except Refused as refused:
            raise NotConfirmedError(command.id, str(refused)) from None

    async def _published(
        self, request: Request, exchange: str, routing_key: str, correlation_id: str | None
    ) -> Session:
        """The broker has it, however often the connection was lost meanwhile."""
        while True:
            session = await self.link.session()
            try:
                await session.publish(request, exchange, routing_key, correlation_id=correlation_id)
            except Lost:
                session.mark_lost()
            else:
                return session

    async def _answered(self, send: Callable[[], Awaitable[Session]], reply: "asyncio.Future[bytes]") -> bytes:
        """Sent, and sent again whenever the connection was lost before the reply came."""
        async with asyncio.timeout(self._timeout_seconds):
            while True:
                session = await send()
                await asyncio.wait((reply, session.lost), return_when=asyncio.FIRST_COMPLETED)
                if reply.done():
                    return reply.result()

    @asynccontextmanager
    async def _reply(self) -> AsyncIterator[tuple[str, "asyncio.Future[bytes]"]]:
        correlation_id = str(uuid4())
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[correlation_id] = reply
        try:
            yield correlation_id, reply
        finally:
            del self._waiting[correlation_id]

    def _on_reply(self, correlation_id: str, body: bytes) -> None:
        """A reply that nobody waits for any more is dropped."""
        reply = self._waiting.get(correlation_id)
        if reply is not None and not reply.done():
            reply.set_result(body)
