"""Carries over together what comes while it is under way: who comes to an empty landing goes at once, and alone.

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
    """One crossing at a time, of at most so many; first come, first over."""

    def __init__(self, carry: Callable[[Sequence[T]], Awaitable[None]], at_most: int) -> None:
        self._carry = carry
        self._at_most = at_most
        self._waiting: deque[tuple[T, asyncio.Future[None]]] = deque()
        self._is_under_way = False
        self._crossing: asyncio.Task[None] | None = None

    async def take(self, one: T) -> None:
        """It has been carried. Who is cancelled while waiting is not carried any more, or nobody hears of it.

        Raises:
            Exception: what `carry` raised, for everybody aboard.
        """
        if not self._is_under_way:
            await self._cross([one])
            return
        landed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((one, landed))
        await landed

    async def _cross(self, aboard: Sequence[T]) -> None:
        self._is_under_way = True
        try:
            await self._carry(aboard)
        finally:
            self._is_under_way = False
            self._set_out()

    def _set_out(self) -> None:
        aboard: list[tuple[T, asyncio.Future[None]]] = []
        while self._waiting and len(aboard) < self._at_most:
            one, landed = self._waiting.popleft()
            if not landed.done():  # cancelled while it waited
                aboard.append((one, landed))
        if aboard:
            self._is_under_way = True
            # In a context of its own: what is logged there is about none of them alone.
            self._crossing = asyncio.create_task(self._carry_all(aboard), context=Context())

    async def _carry_all(self, aboard: "Sequence[tuple[T, asyncio.Future[None]]]") -> None:
        result = await caught(self._cross, [one for one, _ in aboard])
        for _, landed in aboard:
            if landed.done():
                continue
            if isinstance(result, Failure):
                landed.set_exception(result.error)
            else:
                landed.set_result(None)
