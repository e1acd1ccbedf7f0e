"""Prepares the database and the broker, and checks that both are as they should be.

Both may be run at any time and by two at once: what is right already stays untouched.
"""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from worker.errors import RefuseToStartError, UnreachableError
from worker.messaging import topology
from worker.messaging.connection import connected, server_version, without_password
from worker.persistence import schema
from worker.settings import Settings

_FIRST_WITH_PRIORITIES = (4, 0)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: well unless there is an error; a note is worth knowing but stops nobody."""

    part: str
    error: RefuseToStartError | None = None
    note: str = ""


async def prepare_database(settings: Settings) -> None:
    """The tables are those of this version."""
    async with _reached(settings) as engine:
        await schema.migrate(engine)


async def prepare_broker(settings: Settings) -> None:
    """Every exchange, queue and binding is there, with its arguments."""
    async with connected(settings.rabbitmq_url, within_seconds=settings.startup_timeout_seconds) as connection:
        await topology.declare(connection, settings.event_log_retention_days)


async def check_database(settings: Settings) -> list[Finding]:
    """The database answers and its tables are right."""
    part = f"database {without_password(settings.database_url)}"
    try:
        async with _reached(settings) as engine:
            await schema.verify(engine)
    except RefuseToStartError as error:
        return [Finding(part, error)]
    return [Finding(part)]


async def check_broker(settings: Settings) -> list[Finding]:
    """The broker answers, and everything that was declared is there as it should be."""
    part = f"broker {without_password(settings.rabbitmq_url)}"
    try:
        async with connected(settings.rabbitmq_url, within_seconds=settings.startup_timeout_seconds) as connection:
            version = server_version(connection)
            wrong = await topology.faults(connection, settings.event_log_retention_days)
    except RefuseToStartError as error:
        return [Finding(part, error)]
    except ConnectionError as error:  # it answered a moment ago
        return [Finding(part, UnreachableError(f"it went away in the middle: {error}"))]
    well = Finding("topology", note="exchanges and queues; heroes setup restores bindings, which AMQP does not show")
    return [Finding(part, note=_about(version)), *([Finding("topology", fault) for fault in wrong] or [well])]


def _about(version: tuple[int, ...]) -> str:
    name = f"RabbitMQ {'.'.join(map(str, version))}"
    if version < _FIRST_WITH_PRIORITIES:
        return f"{name} ignores consumer priorities: one worker takes all queues, the others stand by"
    return name


def _reached(settings: Settings) -> AbstractAsyncContextManager[Any]:
    shown = without_password(settings.database_url)
    return schema.reached(settings.database_url, shown, settings.startup_timeout_seconds)
