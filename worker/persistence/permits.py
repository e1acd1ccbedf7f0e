"""Lets only as many commands work at once as there are connections, so that nobody ever waits for one.

When command after command is given up, it is hardly the commands: then one at a time, slowly, until one succeeds.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

_GIVEN_UP_IN_A_ROW = 20
_PAUSE_SECONDS = 5.0

_log = logging.getLogger(__name__)


class Permits:
    """`async with permits.one()` around work on the database."""

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._permits = asyncio.Semaphore(concurrency)
        self._alone = asyncio.Lock()
        self._slowly = asyncio.Lock()
        self._given_up = 0

    @property
    def is_slow(self) -> bool:
        """Too many commands were given up in a row."""
        return self._given_up >= _GIVEN_UP_IN_A_ROW

    def one(self) -> AbstractAsyncContextManager[None]:
        """A connection is free for the holder."""
        return self._one_slowly() if self.is_slow else self._permits

    @asynccontextmanager
    async def _one_slowly(self) -> AsyncIterator[None]:
        async with self._slowly:
            if self.is_slow:  # it may have ended while we stood in line
                await asyncio.sleep(_PAUSE_SECONDS)
                async with self._permits:
                    yield
                return
        async with self._permits:
            yield

    @asynccontextmanager
    async def all(self) -> AsyncIterator[None]:
        """Nobody else holds a permit."""
        async with self._alone, AsyncExitStack() as held:
            if self.is_slow:
                await held.enter_async_context(self._slowly)
                await asyncio.sleep(_PAUSE_SECONDS)
            for _ in range(self._concurrency):
                await held.enter_async_context(self._permits)
            yield

    def succeeded(self) -> None:
        """A command was applied or rejected, and that is committed: whatever was wrong is over."""
        self._given_up = 0

    def gave_up(self) -> None:
        """A command spent its attempts."""
        self._given_up += 1
        if self._given_up == _GIVEN_UP_IN_A_ROW:
            _log.error("gave up %d commands in a row: going on one at a time", _GIVEN_UP_IN_A_ROW)
