"""Every row of the failure table in docs/architecture.md that needs no outage, on a real broker and database."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.harness.commands import create, delete, update
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire
from worker.app import Worker, running_worker


@pytest_asyncio.fixture(loop_scope="session", scope="module", autouse=True)
async def worker(stage: Stage) -> AsyncIterator[Worker]:
    """One worker for all tests of this module."""
    async with running_worker(stage.settings()) as running:
        yield running


async def test_a_new_valid_command_takes_effect_and_is_announced(stage: Stage, wire: Wire) -> None:
    command = create(name="Nova", age=7)
    event = await wire.outcome(command)
    hero = await stage.hero(event["data"]["hero"]["id"])
    assert hero is not None
    assert (hero["name"], hero["age"], hero["version"]) == ("Nova", 7, 1)
    assert event["type"] == "hero.created"
    assert event["causationid"] == event["correlationid"] == command.id


async def test_a_duplicate_changes_nothing_and_publishes_nothing(stage: Stage, wire: Wire) -> None:
    command = create(name="Twice")
    await wire.outcome(command)
    await wire.send(command)
    await wire.outcome(create(id=command.id.replace("-", "-"), name="Twice"))
    await eventually(lambda: _is_published(stage, command.id), "the row is marked")
    heroes = await stage.rows("SELECT id FROM hero WHERE name = 'Twice'")
    assert len(heroes) == 1


async def _is_published(stage: Stage, command_id: str) -> bool:
    row = await stage.inbox(command_id)
    return row is not None and row["published_at"] is not None


async def test_updates_and_deletes_apply_in_order(stage: Stage, wire: Wire) -> None:
    hero_id = (await wire.outcome(create(name="Old")))["data"]["hero"]["id"]
    changed = await wire.outcome(update(hero_id, {"name": "New"}))
    assert changed["data"]["hero"]["version"] == 2
    gone = await wire.outcome(delete(hero_id))
    assert gone["type"] == "hero.deleted"
    assert await stage.hero(hero_id) is None
