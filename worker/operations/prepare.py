"""Prepares the database and the broker.

It may be run at any time and by two at once: what is right already stays untouched.
"""

from contextlib import AbstractAsyncContextManager
from typing import Any

from worker.messaging import topology
from worker.messaging.connection import connected, without_password
from worker.persistence import schema
from worker.settings import Settings


async def prepare_database(settings: Settings) -> None:
    """The tables are those of this version."""
    async with _reached(settings) as engine:
        await schema.migrate(engine)


async def prepare_broker(settings: Settings) -> None:
    """Every exchange, queue and binding is there, with its arguments."""
    async with connected(settings.rabbitmq_url, within_seconds=settings.startup_timeout_seconds) as connection:
        await topology.declare(connection, settings.event_log_retention_days)


def _reached(settings: Settings) -> AbstractAsyncContextManager[Any]:
    shown = without_password(settings.database_url)
    return schema.reached(settings.database_url, shown, settings.startup_timeout_seconds)
