"""A look that may take long, for somebody who can't wait: in time, or told as not known.

One look at a time, however many ask; what takes longer than their patience goes on, and is there for the next.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from worker.errors import WorkerError
from worker.failsafe import Failure, caught

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long those who ask wait, how long a look may take, and for how long its answer is good."""

    ask_seconds: float
    look_seconds: float
    keep_seconds: float


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """What was seen, or in words why nothing was."""

    value: T | None
    not_known: str = ""


class Glance(Generic[T]):
    """Looks when asked; `whom` is who has to answer."""

    def __init__(self, look: Callable[[], Awaitable[T]], whom: str, patience: Patience) -> None:
        self._look = look
        self._whom = whom
        self._patience = patience
        self._looking: asyncio.Task[None] | None = None
        self._last: Seen[T] = Seen(None, "nobody has looked yet")
        self._again_at = 0.0

    async def seen(self) -> Seen[T]:
        """The latest answer that is good."""
        looking = self._looking
        if looking is None and asyncio.get_running_loop().time() >= self._again_at:
            looking = self._looking = asyncio.create_task(self._looked())
        if looking is not None:
            done, _ = await asyncio.wait({looking}, timeout=self._patience.ask_seconds)
            if not done:
                return Seen(None, f"{self._whom} has not answered for {self._patience.ask_seconds:g} s")
        return self._last

    async def close(self) -> None:
        """Nobody looks any more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _looked(self) -> None:
        try:
            result = await caught(self._in_time)
            self._last = Seen(None, self._told(result.error)) if isinstance(result, Failure) else Seen(result)
            self._again_at = asyncio.get_running_loop().time() + self._patience.keep_seconds
        finally:
            self._looking = None

    async def _in_time(self) -> T:
        async with asyncio.timeout(self._patience.look_seconds):
            return await self._look()

    def _told(self, error: BaseException) -> str:
        """In our own words, where it is ours; others' texts may hold anything."""
        if isinstance(error, TimeoutError):
            return f"{self._whom} has not answered for {self._patience.look_seconds:g} s"
        return str(error) if isinstance(error, WorkerError) else f"{self._whom}: {type(error).__name__}"
