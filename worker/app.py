"""The composition root: the only file that knows every room, builds them in order and takes them down in reverse.

A worker starts only when broker, database, topology and tables are right, and takes commands last of all; it leaves
the queues first of all.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from aio_pika.abc import AbstractRobustConnection

from contracts import channels
from contracts.channels import command_queues
from worker.answering import Answering
from worker.attendance import Attendance
from worker.entity import Entity
from worker.errors import TopologyError
from worker.messaging import guard, topology
from worker.messaging.channel import ConfirmedChannel
from worker.messaging.connection import connect, keep_connected, patiently, with_heartbeat, without_password
from worker.messaging.consumer import rabbit_broker
from worker.messaging.dead_letters import DeadLetters
from worker.messaging.decode import Decoder
from worker.messaging.intake import Intake
from worker.messaging.publisher import EventPublisher
from worker.messaging.replies import Replies
from worker.observability.health import HealthServer
from worker.ours import OURS
from worker.persistence import schema
from worker.persistence.database import Database
from worker.persistence.gate import Gate
from worker.persistence.marker import Marker
from worker.persistence.permits import Permits
from worker.persistence.suspects import Suspects
from worker.persistence.unit_of_work import UnitOfWork
from worker.pipeline import Pipeline
from worker.retry import Retry
from worker.settings import Settings
from worker.sweeper import Sweeper

_QUERIES_IN_HAND = 32
_CLOSE_SECONDS = 1.0
_CLOSING_SECONDS = 3.0  # of the time to leave: for what comes after the last command

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker at work."""

    pipeline: Pipeline
    intake: Intake
    gate: Gate
    events: ConfirmedChannel
    sweeper: Sweeper

    async def problems(self) -> dict[str, str | None]:
        """Each part by name, None where it is well: what `/readyz` tells."""
        idle = await self.intake.unattached()
        return {
            "commands": f"not consuming {', '.join(idle)}" if idle else None,
            "publishing": None if await _in_time(self.events) else "the publishing connection is gone or blocked",
            "gate": self.gate.closed_because,
        }


@asynccontextmanager
async def running_worker(settings: Settings, entity: Entity = OURS) -> AsyncIterator[Worker]:
    """A worker that takes commands; afterwards everything in hand is finished and told, as far as time allowed.

    Raises:
        RefuseToStartError: something is not right; the message says what mends it.
    """
    async with AsyncExitStack() as stack:
        database = await _database(settings, stack)
        await _verify(settings, database)
        keep = partial(keep_connected, settings.rabbitmq_url, f"{settings.worker_id} publishes")
        publishing = await _patiently(settings, keep)
        stack.push_async_callback(_soon, publishing.close)
        worker = _assemble(settings, entity, database, publishing)
        stack.push_async_callback(worker.gate.stop)
        await _start(settings, worker, stack)
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

    async def missing() -> list[str]:
        async with await connect(settings.rabbitmq_url) as connection:
            return await topology.missing(connection, settings.event_log_retention_days)

    if names := await _patiently(settings, missing):
        raise TopologyError(f"RabbitMQ lacks {', '.join(names)}: run heroes setup")


async def _patiently(settings: Settings, work: Callable[[], Awaitable[T]]) -> T:
    """The broker may go away at any moment of the start, and come back."""
    return await patiently(settings.rabbitmq_url, work, within_seconds=settings.startup_timeout_seconds)


def _assemble(settings: Settings, entity: Entity, database: Database, publishing: AbstractRobustConnection) -> Worker:
    channel = partial(ConfirmedChannel, publishing, settings.publish_timeout_seconds)
    event_channel, letter_channel, reply_channel = channel(), channel(), channel()
    events, marker = EventPublisher(event_channel), Marker(database.side_sessions)
    permits = Permits(settings.concurrency)
    gate = Gate({"database": database.probe, "publishing": event_channel.ready}, database.renew)
    pipeline = Pipeline(
        unit_of_work=UnitOfWork(database.sessions, permits, Suspects(database.side_sessions, permits)),
        handlers=entity.handlers,
        retry=Retry(gate, entity.retry),
        events=events,
        letters=DeadLetters(letter_channel, settings.worker_id),
        replies=Replies(reply_channel),
        marker=marker,
    )
    sweeper = Sweeper(
        database.side_sessions, events, marker, gate, settings.sweep_after_seconds, settings.inbox_retention_days
    )
    guard.install()
    broker = rabbit_broker(with_heartbeat(settings.rabbitmq_url), logging.getLogger("worker.faststream"))
    intake = Intake(broker, settings.worker_id)
    broker.add_middleware(intake.arrival)
    decoder = Decoder(entity.commands, settings.max_body_bytes)
    for queue in command_queues():
        intake.subscribe(queue, decoder, pipeline.process, settings.prefetch)
    if entity.queries:
        answering = Answering(database.reading_sessions, entity.answers, gate, pipeline.replies)
        decoder = Decoder(entity.queries, settings.max_body_bytes)
        intake.subscribe(channels.QUERIES, decoder, answering.process, _QUERIES_IN_HAND)
    return Worker(pipeline, intake, gate, event_channel, sweeper)


async def _start(settings: Settings, worker: Worker, stack: AsyncExitStack) -> None:
    """Everything runs, the intake last; leaving goes the other way round."""
    for work in (worker.pipeline.marker.run(), worker.sweeper.run(), worker.gate.watch()):
        stack.push_async_callback(_ended, asyncio.create_task(work))
    stack.push_async_callback(_soon, worker.pipeline.marker.flush)
    stack.push_async_callback(worker.pipeline.unit_of_work.suspects.finish)
    stack.push_async_callback(worker.pipeline.replies.finish)
    health = HealthServer(settings.http_host, settings.http_port, worker.problems)
    stack.push_async_callback(health.stop)
    await health.start()
    _log.info("health at %s/readyz", health.url)
    stack.push_async_callback(_soon, worker.intake.stop)
    await _patiently(settings, worker.intake.start)
    timeout_seconds = settings.shutdown_timeout_seconds
    stack.push_async_callback(_leave, worker, max(timeout_seconds - _CLOSING_SECONDS, timeout_seconds / 2))
    attendance = Attendance(worker.intake, worker.gate, settings.outage_release_seconds)
    stack.push_async_callback(_ended, asyncio.create_task(attendance.run()))
    _log.info("worker %s takes commands from %s", settings.worker_id, without_password(settings.rabbitmq_url))


async def _leave(worker: Worker, timeout_seconds: float) -> None:
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
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _in_time(channel: ConfirmedChannel) -> bool:
    try:
        async with asyncio.timeout(1):
            await channel.ready()
    except (OSError, RuntimeError):
        return False
    return True
