"""Keeps commands with a common key in the order in which they arrived, inside one process.

A turn is taken synchronously, at arrival, before anything is awaited: taken later, the order would already be lost.
"""

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Self


class Turn:
    """A place in one or more queues; `async with turn` waits for everybody before it and makes way afterwards.

    Not where the block fails: then it is not done, and nobody may overtake it. A cancellation makes way: it comes with
    the end of the channel, and those behind go back with it.
    """

    __slots__ = ("_before", "_done", "_keys", "_lanes")

    def __init__(self, lanes: "Lanes", keys: tuple[str, ...], before: tuple[asyncio.Future[None], ...]) -> None:
        self._lanes = lanes
        self._keys = keys
        self._before = before
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        if any(not predecessor.done() for predecessor in self._before):
            self._lanes.waiting += 1
            try:
                await self._others_done()
            finally:
                self._lanes.waiting -= 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or not issubclass(kind, Exception):
            self.give_up()

    async def _others_done(self) -> None:
        for predecessor in self._before:
            # Shielded: who waits here may be cancelled, but must not cancel the one it waits for.
            await asyncio.shield(predecessor)

    def give_up(self) -> None:
        """Makes way for the next one as soon as everybody before is done; harmless when done twice."""
        if self._done.done():
            return
        waiting = [predecessor for predecessor in self._before if not predecessor.done()]
        if waiting:  # left the queue early: whoever stands behind now waits for those in front
            waiting[0].add_done_callback(lambda _: self.give_up())
            return
        self._done.set_result(None)
        self._lanes.leave(self._keys, self._done)


class Lanes:
    """One first-in-first-out queue for each key in use; a key nobody waits for takes no memory."""

    def __init__(self) -> None:
        self._last: dict[str, asyncio.Future[None]] = {}
        self.waiting = 0

    def __len__(self) -> int:
        return len(self._last)

    def take(self, keys: Iterable[str]) -> Turn:
        """The next place in all these queues, taken in one step so that two turns can never wait for each other."""
        wanted = tuple(dict.fromkeys(keys))
        before = tuple(self._last[key] for key in wanted if key in self._last)
        turn = Turn(self, wanted, before)
        for key in wanted:
            self._last[key] = turn._done  # noqa: SLF001 - a turn and its lanes are one thing in two classes
        return turn

    def leave(self, keys: tuple[str, ...], done: asyncio.Future[None]) -> None:
        """Forgets the keys in which nobody came after."""
        for key in keys:
            if self._last.get(key) is done:
                del self._last[key]
