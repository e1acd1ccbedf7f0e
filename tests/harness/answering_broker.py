"""Takes the place of a connection, of its channel and of the broker behind it, and answers each message as told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pamqp.frame
from aiormq.abc import ChannelFrame
from aiormq.exceptions import DeliveryError
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

Answer = Callable[[str], Awaitable[None]]


class Broker:
    """A connection, its only channel and the broker behind it, which reads frames and answers each message as told."""

    is_closed = False
    _close_exception = None
    number = 1
    max_content_size = 131_064

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._read = self.delivery_tag = 0
        self._answering: set[asyncio.Task[None]] = set()
        self.confirmations: dict[int, asyncio.Future[object]] = {}
        self.began: list[str] = []
        self.under_way: set[str] = set()
        self.most_under_way = 0
        self.body = b""
        self.connection = self.transport = self.write_queue = self

    async def ready(self) -> None:
        """It always is."""

    async def channel(self, **_: object) -> "Broker":
        """A fresh one, where frames are written."""
        return self

    @property
    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Nobody else writes here."""
        yield

    def create_future(self) -> "asyncio.Future[object]":
        """Ends with the channel, if not before."""
        return asyncio.get_running_loop().create_future()

    async def put(self, frame: ChannelFrame) -> None:
        """Reads what is written and counts the messages in it."""
        rest = frame.payload
        while rest:
            count, _, part = pamqp.frame.unmarshal(rest)
            rest = rest[count:]
            if isinstance(part, ContentBody):
                self.body += part.value
            if isinstance(part, ContentHeader):
                self._read += 1
                task = asyncio.create_task(self._confirm(self._read, part.properties.message_id or ""))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)

    async def close(self) -> None:
        """Nothing more is answered."""
        for task in self._answering:
            task.cancel()
        for confirmation in self.confirmations.values():
            if not confirmation.done():
                confirmation.cancel()

    async def _confirm(self, number: int, message_id: str) -> None:
        self.began.append(message_id)
        self.under_way.add(message_id)
        self.most_under_way = max(self.most_under_way, len(self.under_way))
        try:
            await self._answer(message_id)
            self.confirmations.pop(number).set_result(None)
        except DeliveryError as error:
            self.confirmations.pop(number).set_exception(error)
        finally:
            self.under_way.discard(message_id)
