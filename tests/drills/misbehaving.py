"""A worker with three bugs: names in commands make its handlers raise, block the whole process, or never come back."""

import asyncio
import signal
from dataclasses import replace
from threading import Event
from typing import Any

import uvloop
from sqlalchemy.ext.asyncio import AsyncSession

from worker.app import running_worker
from worker.observability.logging import configure_logging
from worker.ours import OURS
from worker.outcomes import Handled
from worker.settings import load_settings

RAISES, BLOCKS, HANGS = "Raises", "Blocks", "Hangs"
BLOCKED_SECONDS = 600


async def _create(session: AsyncSession, data: Any) -> Handled:
    kind = data.name.partition(" ")[0]
    if kind == RAISES:
        return _price_of({}, data)
    if kind == BLOCKS:
        Event().wait(BLOCKED_SECONDS)  # the whole thread: nothing else in the process goes on
    if kind == HANGS:
        await asyncio.Event().wait()  # a call to somewhere, without a time-out
    return await OURS.handlers["hero.create"](session, data)


def _price_of(prices: dict[str, Handled], data: Any) -> Handled:
    return prices[data.name]


async def _work() -> None:
    settings = load_settings()
    configure_logging(settings.log_format, settings.log_level)
    asked_to_leave = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked_to_leave.set)
    entity = replace(OURS, handlers={**OURS.handlers, "hero.create": _create})
    async with running_worker(settings, entity):
        await asked_to_leave.wait()


if __name__ == "__main__":
    uvloop.run(_work())
