"""The composition root: starts a worker room by room, and takes it down in reverse.

A worker starts only when broker, database, topology and tables are right, and takes commands last of all; it leaves
the queues first of all.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import TypeVar

from worker.assembly import Worker, assembled
from worker.attendance import Attendance
from worker.entity import Entity
from worker.front import Front
from worker.messaging import guard, topology, writing
from worker.messaging.connection import connect, keep_connected, patiently, without_password
from worker.messaging.share import Share
from worker.observability.observed import Observed, observed
from worker.ours import OURS
from worker.persistence import schema
from worker.persistence.database import Database
from worker.readiness import LEAVING
from worker.settings import Settings

__all__ = ["Worker", "running_worker"]

_CLOSE_SECONDS = 1.0
_LISTENING_SECONDS = 0.2
_CLOSING_SECONDS = 3.0  # of the time to leave: for what comes after the last command

T = TypeVar("T")

_log = logging.getLogger(__name__)


@asynccontextmanager
async def running_worker(
    settings: Settings, entity: Entity = OURS, looking_on: Observed | None = None, share: Share | None = None
) -> AsyncIterator[Worker]:
    """A worker that takes commands; afterwards everything in hand is finished and told, as far as time allowed.

    Raises:
        RefuseToStartError: something is not right; the message says what mends it.
    """
    guard.install()  # before the first connection
    writing.install()
    looking_on = looking_on or observed(settings, entity.handlers)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(looking_on.close)
        front = Front(settings, looking_on)
        await stack.enter_async_context(front.opened())
        _log.info("health at %s/readyz", front.url)
        database = await _database(settings, stack)
        await _verify(settings, database)
        keep = partial(keep_connected, settings.rabbitmq_url, f"{settings.worker_id} publishes")
        publishing = await _patiently(settings, keep)
        stack.push_async_callback(_soon, publishing.close)
        worker = assembled(settings, entity, database, publishing, looking_on.watch)
        stack.push_async_callback(worker.gate.stop)
        front.shows(worker)
        await _start(settings, worker, stack, share)
        yield worker


async def _database(settings: Settings, stack: AsyncExitStack) -> Database:
    database = Database.of(
        settings.database_url,
        pool_size=settings.concurrency,
        statement_timeout_seconds=settings.statement_timeout_seconds,
    )
    stack.push_async_callback(_soon, database.close)
    shown = without_password(settings.database_url)
    await schema.wait_until_reachable(database.side_engine, shown, settings.startup_timeout_seconds)
    return database


async def _verify(settings: Settings, database: Database) -> None:
    await schema.verify(database.side_engine)

    async def declared() -> None:
        async with await connect(settings.rabbitmq_url) as connection:
            await topology.verify(connection, settings.event_log_retention_days)

    await _patiently(settings, declared)


async def _patiently(settings: Settings, work: Callable[[], Awaitable[T]]) -> T:
    """The broker may go away at any moment of the start, and come back."""
    return await patiently(settings.rabbitmq_url, work, within_seconds=settings.startup_timeout_seconds)


async def _start(settings: Settings, worker: Worker, stack: AsyncExitStack, share: Share | None) -> None:
    """Everything runs, the intake last; leaving goes the other way round."""
    for work in (worker.pipeline.marker.run(), worker.sweeper.run(), worker.gate.watch()):
        stack.push_async_callback(_ended, asyncio.create_task(work))
    stack.push_async_callback(_soon, worker.pipeline.marker.flush)
    stack.push_async_callback(worker.pipeline.unit_of_work.suspects.finish)
    stack.push_async_callback(worker.pipeline.replies.finish)
    stack.push_async_callback(_soon, worker.intake.stop)
    await _patiently(settings, partial(worker.intake.start, share))
    timeout_seconds = settings.shutdown_timeout_seconds
    stack.push_async_callback(_leave, worker, max(timeout_seconds - _CLOSING_SECONDS, timeout_seconds / 2))
    attendance = Attendance(worker.intake, worker.gate, settings.outage_release_seconds)
    stack.push_async_callback(_ended, asyncio.create_task(attendance.run()))
    worker.readiness.stage = None
    _log.info("worker %s takes commands from %s", settings.worker_id, without_password(settings.rabbitmq_url))


async def _leave(worker: Worker, timeout_seconds: float) -> None:
    worker.readiness.stage = LEAVING
    _log.info("leaving: finishing what is in hand")
    if await worker.intake.leave(timeout_seconds):
        _log.info("left: everything in hand is finished")
    else:
        _log.warning("left with commands unfinished after %g s: the broker hands them out again", timeout_seconds)


async def _soon(close: Callable[[], Awaitable[object]]) -> None:
    """Closed politely, if the other end answers at all: nothing that counts is left to do by now."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await close()


async def _ended(task: "asyncio.Task[None]") -> None:
    """Told until it listens: a library that is just closing a connection swallows a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_LISTENING_SECONDS)
