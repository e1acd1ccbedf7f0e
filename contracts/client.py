"""A typed client for publishers: sends a command, confirmed by the broker, and waits for its outcome. Needs aio-pika.

A command that timed out is unknown, not failed: sending the very same command again, with its id, is always safe.
"""

import asyncio
from types import TracebackType
from typing import Self
from uuid import uuid4
from weakref import WeakValueDictionary

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aiormq.exceptions import AMQPError, ChannelInvalidStateError
from pydantic import TypeAdapter

from contracts.channels import COMMANDS
from contracts.envelope import CONTENT_TYPE, Command
from contracts.heroes import AnyEvent

_CONNECT_TIMEOUT_SECONDS = 5


class NotConfirmedError(Exception):
    """The broker did not confirm the command: it may or may not have it. Send the same command again."""


class OutcomeTimeoutError(Exception):
    """The broker has the command, and no outcome came in time. Sending the same command again is safe."""

    def __init__(self, command_id: str) -> None:
        super().__init__(f"no outcome of command {command_id} yet; sending the same command again is safe")
        self.command_id = command_id


class HeroesClient:
    """`async with HeroesClient(url) as client`: one connection, one reply queue, any number of calls at once."""

    def __init__(self, url: str, *, timeout_seconds: float = 30) -> None:
        self._url = url
        self._timeout_seconds = timeout_seconds
        self._events: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)
        self._waiting: dict[str, asyncio.Future[AnyEvent]] = {}
        self._connection: AbstractConnection
        self._replies: AbstractQueue
        self._publishing: AbstractChannel | None = None
        self._opening = asyncio.Lock()
        self._in_order: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def __aenter__(self) -> Self:
        """Connected.

        Raises:
            ConnectionError: the broker can't be reached, or refuses the user (aiormq's errors are ConnectionErrors).
        """
        self._connection = await aio_pika.connect(self._url, timeout=_CONNECT_TIMEOUT_SECONDS)
        self._replies = await (await self._connection.channel()).declare_queue(exclusive=True)
        await self._replies.consume(self._on_reply, no_ack=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.close()

    async def send(self, command: Command) -> None:
        """The broker has the command; what becomes of it is told by its event.

        Raises:
            NotConfirmedError: it may or may not have it.
        """
        await self._publish(command)

    async def call(self, command: Command) -> AnyEvent:
        """The event that tells what became of the command: applied, rejected or dead-lettered.

        Raises:
            NotConfirmedError: the broker may or may not have the command.
            OutcomeTimeoutError: the broker has it, but no outcome came in time.
        """
        correlation_id = str(uuid4())
        outcome: asyncio.Future[AnyEvent] = asyncio.get_running_loop().create_future()
        self._waiting[correlation_id] = outcome
        try:
            await self._publish(command, reply_to=self._replies.name, correlation_id=correlation_id)
            async with asyncio.timeout(self._timeout_seconds):
                return await outcome
        except TimeoutError:
            raise OutcomeTimeoutError(command.id) from None
        finally:
            del self._waiting[correlation_id]

    async def _publish(
        self, command: Command, *, reply_to: str | None = None, correlation_id: str | None = None
    ) -> None:
        message = aio_pika.Message(
            command.to_json(),
            content_type=CONTENT_TYPE,
            message_id=str(uuid4()),  # the AMQP client tells messages under way apart by it, so a resend needs its own
            type=command.type,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            reply_to=reply_to,
            correlation_id=correlation_id,
        )
        # For one hero one unconfirmed command at a time: were the first refused, the second would overtake it.
        turn = self._in_order.setdefault(command.ordering_key, asyncio.Lock())
        try:
            async with turn, asyncio.timeout(self._timeout_seconds):
                exchange = await (await self._channel()).get_exchange(COMMANDS, ensure=False)
                await exchange.publish(message, command.routing_key)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody cancelled us: the connection died under a confirm.
            raise NotConfirmedError(f"command {command.id} was not confirmed: the connection was lost") from error
        except (AMQPError, ChannelInvalidStateError, OSError, RuntimeError) as error:
            raise NotConfirmedError(f"command {command.id} was not confirmed: {type(error).__name__}") from error

    async def _channel(self) -> AbstractChannel:
        """A channel to publish on; the broker closes it at each refusal, and the replies must not go with it."""
        async with self._opening:
            if self._publishing is None or self._publishing.is_closed:
                self._publishing = await self._connection.channel(on_return_raises=True)
            return self._publishing

    async def _on_reply(self, message: AbstractIncomingMessage) -> None:
        """A reply that nobody waits for any more is dropped."""
        waiting = self._waiting.get(message.correlation_id or "")
        if waiting is not None and not waiting.done():
            waiting.set_result(self._events.validate_json(message.body))
