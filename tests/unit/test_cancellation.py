"""A cancellation that a library swallows, as it may while it closes a connection, is not forgotten."""

import asyncio
from contextlib import suppress

import pytest

from worker import app
from worker.errors import UnreachableError
from worker.operations import queues
from worker.operations.looking import Look, Places

PATIENCE_SECONDS = 10


async def _closes_a_connection(*_: object) -> Look:
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    raise UnreachableError("it went away")


async def test_what_runs_beside_the_commands_ends_though_the_first_cancellation_is_swallowed() -> None:
    async def lives() -> None:
        with suppress(UnreachableError):
            await _closes_a_connection()
        await asyncio.Event().wait()

    task = asyncio.create_task(lives())
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await app._ended(task)
    assert task.cancelled()


async def test_watching_queues_ends_though_the_interruption_met_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "look", _closes_a_connection)
    task = asyncio.create_task(queues._watch(Places("amqp://nobody", None, None), as_json=True))
    await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.wait([task])
