"""A worker in this process, and the proof afterwards that it left nothing behind in its queues."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika

from contracts.channels import command_queues
from tests.harness.stage import Stage
from worker.app import Worker, running_worker
from worker.entity import Entity
from worker.observability.observed import Observed
from worker.ours import OURS

WORKER_ID = "worker-under-test"


@asynccontextmanager
async def tidy_worker(
    stage: Stage, entity: Entity = OURS, looking_on: Observed | None = None, **settings: Any
) -> AsyncIterator[Worker]:
    """A worker at work. When it has left, everything that it had taken was acknowledged: its queues are empty."""
    given = stage.settings(**{"shutdown_timeout_seconds": 5, **settings})
    async with running_worker(given, entity, looking_on) as worker:
        yield worker
    left = await _ready(stage)
    assert not left, f"handed out and never acknowledged: {left}"


async def _ready(stage: Stage) -> dict[str, int]:
    async with await aio_pika.connect(stage.rabbitmq_url) as connection:
        channel = await connection.channel()
        queues = [await channel.declare_queue(name, passive=True) for name in command_queues()]
        counts = {queue.name: queue.declaration_result.message_count or 0 for queue in queues}
    return {name: count for name, count in counts.items() if count}
