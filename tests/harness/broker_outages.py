"""Ways in which a private RabbitMQ can be away or out of sorts: each begins with its block and is over afterwards.

And what a test of a worker beside it needs: several commands, and the moment when the worker knows.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager

import pytest

from contracts.envelope import Command
from tests.harness.commands import create
from tests.harness.stage import eventually
from worker.app import Worker
from worker.local.errors import LocalServicesError
from worker.local.rabbitmq import PrivateRabbitMQ


@contextmanager
def own_rabbitmq() -> Iterator[PrivateRabbitMQ]:
    """A broker that may be killed; where there can be none (Docker alone, say), the test says so and is skipped."""
    with ExitStack() as stack:
        try:
            broker = stack.enter_context(PrivateRabbitMQ())
        except LocalServicesError as error:
            pytest.skip(f"needs a RabbitMQ of its own: {error}")
        yield broker


QUICK_HEARTBEAT = "?heartbeat=1"
"""Behind a broker's URL: a dead connection is found within three seconds."""

Outage = Callable[[PrivateRabbitMQ], AbstractAsyncContextManager[None]]


def _ended_by(end: Callable[[PrivateRabbitMQ], None]) -> Outage:
    @asynccontextmanager
    async def outage(broker: PrivateRabbitMQ) -> AsyncIterator[None]:
        await asyncio.to_thread(end, broker)
        yield
        await asyncio.to_thread(broker.start)

    return outage


@asynccontextmanager
async def _frozen(broker: PrivateRabbitMQ) -> AsyncIterator[None]:
    pid = broker.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def closed_politely(broker: PrivateRabbitMQ) -> AsyncIterator[None]:
    """Every connection is closed by the broker, with a reason; nothing else happens."""
    await asyncio.to_thread(broker.control, "close_all_connections", "for a test")
    yield


def _by_control(begin: tuple[str, ...], end: tuple[str, ...]) -> Outage:
    @asynccontextmanager
    async def outage(broker: PrivateRabbitMQ) -> AsyncIterator[None]:
        await asyncio.to_thread(broker.control, *begin)
        try:
            yield
        finally:
            await asyncio.to_thread(broker.control, *end)

    return outage


ALARMS: dict[str, Outage] = {
    "memory alarm": _by_control(("set_vm_memory_high_watermark", "0.000001"), ("set_vm_memory_high_watermark", "0.4")),
    "disk alarm": _by_control(("set_disk_free_limit", "900GB"), ("set_disk_free_limit", "50MB")),
}
OUTAGES: dict[str, Outage] = {
    "stopped": _ended_by(PrivateRabbitMQ.stop),
    "frozen": _frozen,
    "killed": _ended_by(PrivateRabbitMQ.kill),
}


def several(name: str, count: int = 200) -> list[Command]:
    """So many commands, each of a name of its own."""
    return [create(name=f"{name} {number}") for number in range(count)]


async def turns(worker: Worker, *, ready: bool, within_seconds: float = 60) -> None:
    """The worker has become ready, or has found that it isn't."""

    async def has_turned() -> bool:
        return (not any((await worker.problems()).values())) is ready

    await eventually(has_turned, f"ready: {ready}", within_seconds=within_seconds)
