"""A worker whose handlers misbehave: they raise whatever they were given, or block the whole process."""

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from time import sleep
from typing import Any

import uvloop
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from tests.harness.program import Program, started
from worker.app import running_worker
from worker.observability.logging import configure_logging
from worker.ours import OURS
from worker.outcomes import Handled
from worker.retry import Backoff, RetryPolicy
from worker.settings import load_settings

RAISES, ASKS, BREAKS, BLOCKS = "raises", "asks", "breaks", "blocks"
_BLOCKED_SECONDS = 14
_HASTY = RetryPolicy(refused=Backoff(2, 0.01), bug=Backoff(2, 0.01), away=Backoff(2, 0.01))


async def _create(session: AsyncSession, data: Any) -> Handled:
    kind = data.name.partition(" ")[0]
    if kind == RAISES:
        _raise(data)
    if kind == ASKS:  # the server quotes the value in its answer
        await session.execute(text("SELECT CAST(:value AS text)::int"), {"value": data.secret_name})
    if kind == BREAKS:  # and here the whole row
        await session.execute(text("INSERT INTO hero (name) VALUES (:name)"), {"name": data.name})
    if kind == BLOCKS:
        _block_once()
    return await OURS.handlers["hero.create"](session, data)


@cache
def _block_once() -> None:
    """Nothing else happens in the process meanwhile."""
    sleep(_BLOCKED_SECONDS)


def _raise(data: Any) -> None:
    try:
        _ = {}[data.secret_name]
    except KeyError as error:
        raise ValueError(f"{data.name} must not be called {data.secret_name}") from error


async def _work() -> None:
    settings = load_settings()
    configure_logging(settings.log_format, settings.log_level)
    asked_to_leave = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked_to_leave.set)
    entity = replace(OURS, handlers={**OURS.handlers, "hero.create": _create}, retry=_HASTY)
    async with running_worker(settings, entity):
        await asked_to_leave.wait()


@asynccontextmanager
async def leaky(environment: Mapping[str, str]) -> AsyncIterator[Program]:
    """Such a worker in a process of its own."""
    async with started(environment, "-m", "tests.harness.leaky") as program:
        await program.said("takes commands")
        yield program
        program.tell(signal.SIGTERM)
        assert await program.ended(within_seconds=30) == 0, program.output


if __name__ == "__main__":
    uvloop.run(_work())
