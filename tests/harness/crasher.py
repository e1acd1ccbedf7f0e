"""A worker whose handlers end the whole process at certain heroes, as a bug in a C library would."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import uvloop
from sqlalchemy.ext.asyncio import AsyncSession

from tests.harness.program import Program, started
from worker.app import running_worker
from worker.ours import OURS
from worker.outcomes import Handled
from worker.settings import load_settings

FATAL = "Fatal"
CRASHED = 77


async def _create(session: AsyncSession, data: Any) -> Handled:
    if data.name.startswith(FATAL):
        os._exit(CRASHED)
    return await OURS.handlers["hero.create"](session, data)


async def _main() -> None:
    logging.basicConfig(level=logging.INFO)
    entity = replace(OURS, handlers={**OURS.handlers, "hero.create": _create})
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with running_worker(load_settings(), entity):
        await stop.wait()


@asynccontextmanager
async def crasher(environment: Mapping[str, str]) -> AsyncIterator[Program]:
    """Such a worker in a process of its own; SIGTERM is its way out in good order."""
    async with started(environment, "-m", "tests.harness.crasher") as program:
        yield program


if __name__ == "__main__":
    uvloop.run(_main())
