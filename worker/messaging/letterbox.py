"""Takes dead letters out of their queue to be looked at: all that is not removed is back, in order, when it closes.

Letters are only held unacknowledged on one channel, so whatever ends the program gives them back, too; each time their
delivery count grows by one, against a limit of a million. What keeps their order: the broker puts what it gets back
behind what it got back before, so the box closes only when it holds all of them (a kill before that, among more than
one window of letters, leaves those that were held behind the others); and it gives back consumer by consumer, 3.10 in
the order of their tags only up to thirty-two.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TypeVar

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aiormq.exceptions import AMQPError, ChannelAccessRefused, ChannelInvalidStateError, ChannelNotFoundEntity

from contracts.channels import DEAD_LETTERS
from worker.errors import TopologyError, UnreachableError

FIRST_WINDOW = 2000
_LARGEST_WINDOW = 65_535  # AMQP's own; the broker takes "unlimited" for 2 000
_WINDOWS = 32
_SILENCE_SECONDS = 3.0  # somebody else holds the rest

_LOST = (AMQPError, ChannelInvalidStateError, OSError, RuntimeError)

T = TypeVar("T")


class Letterbox:
    """The letters that stood in the queue when it was opened, oldest first."""

    def __init__(self, channel: AbstractChannel, letters: int) -> None:
        self.letters = letters
        self.looked_at = 0
        self._channel = channel
        self._next_window = FIRST_WINDOW
        self._windows = self._room = self._held = 0
        self._arrived = asyncio.Event()

    async def take(self, look: Callable[[AbstractIncomingMessage], T | None]) -> AsyncIterator[T]:
        """What `look` makes of each letter when it arrives, where it makes anything; of the others nothing is kept.

        At most one window of them waits here. It grows only when it is full of letters that were not removed.

        Raises:
            UnreachableError: the connection was lost.
        """
        kept: deque[T] = deque()

        async def arrive(message: AbstractIncomingMessage) -> None:
            self._held += 1
            self._arrived.set()
            if self.looked_at < self.letters:  # what came to the queue later is not for this time
                self.looked_at += 1
                if (thing := look(message)) is not None:
                    kept.append(thing)

        while kept or await self._more(arrive):
            if kept:
                yield kept.popleft()

    async def remove(self, message: AbstractIncomingMessage) -> None:
        """The letter is gone once the box is closed in good order; if the connection is lost before, it may be back.

        Raises:
            UnreachableError: the connection is lost already.
        """
        with _told():
            await message.ack()
        self._held -= 1

    async def take_the_rest(self) -> None:
        """If any was taken, all are: only then do they go back in order."""
        if self.looked_at:
            async for _ in self.take(lambda _: None):
                pass

    async def _more(self, arrive: Callable[[AbstractIncomingMessage], Awaitable[None]]) -> bool:
        """Something arrived; False: there is no more to come."""
        self._arrived.clear()
        if self.looked_at >= self.letters:
            return False
        if self._held >= self._room:
            if self._windows == _WINDOWS:
                return False
            with _told():
                await self._open_window(arrive)
        try:
            async with asyncio.timeout(_SILENCE_SECONDS):
                await self._arrived.wait()
        except TimeoutError:
            if self._channel.is_closed:
                raise UnreachableError("the connection to RabbitMQ was lost") from None
            return False
        return True

    async def _open_window(self, arrive: Callable[[AbstractIncomingMessage], Awaitable[None]]) -> None:
        """One more consumer: what the others hold stays with them, so this one is given what stands behind it."""
        await self._channel.set_qos(prefetch_count=self._next_window)
        queue = await self._channel.get_queue(DEAD_LETTERS, ensure=False)
        self._room += self._next_window
        self._windows += 1
        self._next_window = min(2 * self._next_window, _LARGEST_WINDOW)
        await queue.consume(arrive, consumer_tag=f"{self._windows:02d}")


@asynccontextmanager
async def opened(connection: AbstractConnection) -> AsyncIterator[Letterbox]:
    """Nothing is taken yet; after the block everything is back that was not removed.

    Raises:
        TopologyError: there is no such queue, or this user may not read it.
        UnreachableError: the connection was lost; what was removed last may be back.
    """
    with _told():
        channel = await connection.channel(publisher_confirms=False)
        declared = await channel.declare_queue(DEAD_LETTERS, passive=True)
    box = Letterbox(channel, declared.declaration_result.message_count or 0)
    try:
        yield box
    except BaseException:
        with suppress(*_LOST, UnreachableError):
            await box.take_the_rest()
            await channel.close()
        raise
    await box.take_the_rest()
    with _told():
        await channel.close()  # what was acknowledged before this has arrived when it is answered


@contextmanager
def _told() -> Iterator[None]:
    """What the broker says, in a sentence."""
    try:
        yield
    except ChannelNotFoundEntity:
        raise TopologyError(f"queue {DEAD_LETTERS} is missing", "run heroes setup") from None
    except ChannelAccessRefused:
        raise TopologyError(f"queue {DEAD_LETTERS}: this user may not read it") from None
    except _LOST as error:
        raise UnreachableError(
            f"the connection to RabbitMQ was lost ({type(error).__name__})", "run it again"
        ) from None
