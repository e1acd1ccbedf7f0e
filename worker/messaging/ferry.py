"""Carries over together what comes while it is under way; who finds a crossing free goes at once, and alone.

One message or twenty cost a broker, and us, about the same: a write, a wake-up, a confirm. Nobody waits for company;
the busier the broker, the larger the groups. Everybody aboard shares one fate, and whoever waits is told it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from worker.failsafe import Failure, caught

T = TypeVar("T")


class Ferry(Generic[T]):
    """So many crossings at a time, each of at most so many; first come, first over."""

    def __init__(self, carry: Callable[[Sequence[T]], Awaitable[None]], *, crossings: int, places: int) -> None:
        self._carry = carry
        self._crossings = crossings
        self._places = places
        self._waiting: deque[tuple[T, asyncio.Future[None]]] = deque()
        self._under_way = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, one: T) -> None:
        """It has been carried. What is cancelled while waiting is not carried any more; in company aboard it still is.

        Raises:
            Exception: what `carry` raised, for everybody aboard.
        """
        if self._under_way < self._crossings:
            self._under_way += 1
            await self._cross([one])
            return
        landed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((one, landed))
        await landed

    async def _cross(self, aboard: Sequence[T]) -> None:
        try:
            await self._carry(aboard)
        finally:
            self._under_way -= 1
            self._set_out()

    def _set_out(self) -> None:
        aboard: list[tuple[T, asyncio.Future[None]]] = []
        while self._waiting and len(aboard) < self._places:
            one, landed = self._waiting.popleft()
            if not landed.done():  # cancelled while it waited
                aboard.append((one, landed))
        if aboard:
            self._under_way += 1
            # In a context of its own: what is logged there is about none of them alone.
            task = asyncio.create_task(self._carry_all(aboard), context=Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry_all(self, aboard: "Sequence[tuple[T, asyncio.Future[None]]]") -> None:
        result = await caught(self._cross, [one for one, _ in aboard])
        for _, landed in aboard:
            if landed.done():
                continue
            if isinstance(result, Failure):
                landed.set_exception(result.error)
            else:
                landed.set_result(None)
