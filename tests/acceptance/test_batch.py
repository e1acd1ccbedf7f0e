"""A batch takes effect as a whole or not at all, its events in the order of its operations."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from contracts.batch import BatchHeroes, BatchHeroesData, CreateOperation, DeleteOperation, Operation, UpdateOperation
from tests.harness.commands import SOURCE, create, update
from tests.harness.stage import Stage
from tests.harness.wire import Wire, document
from tests.harness.workers import tidy_worker
from worker.app import Worker

MOST = 1000


@pytest_asyncio.fixture(loop_scope="session", scope="module", autouse=True)
async def worker(stage: Stage) -> AsyncIterator[Worker]:
    """At work for the whole module."""
    async with tidy_worker(stage) as running:
        yield running


def _batch(*operations: Operation, **more: Any) -> BatchHeroes:
    return BatchHeroes.new(BatchHeroesData(operations=operations), source=SOURCE, **more)


def _create(name: str, age: int | None = None) -> CreateOperation:
    return CreateOperation(op="create", name=name, secret_name="nobody knows", age=age)


def _update(hero_id: int, *, expected_version: int | None = None, **changes: Any) -> UpdateOperation:
    return UpdateOperation(op="update", hero_id=hero_id, changes=changes, expected_version=expected_version)  # type: ignore[arg-type]  # checked by the model


def _delete(hero_id: int) -> DeleteOperation:
    return DeleteOperation(op="delete", hero_id=hero_id)


async def _heroes(wire: Wire, *names: str) -> list[int]:
    """Fresh heroes of these names."""
    command = _batch(*map(_create, names))
    await wire.send(command)
    return [event["data"]["hero"]["id"] for event in await wire.events_of(command.id, len(names))]


async def test_its_events_come_in_the_order_of_its_operations_and_so_does_the_state(stage: Stage, wire: Wire) -> None:
    first, second = await _heroes(wire, "first", "second")
    command = _batch(
        _update(first, name="changed"),
        _create("third", 3),
        _delete(second),
        _update(first, age=7, expected_version=2),
    )
    await wire.send(command)
    events = await wire.events_of(command.id, 4)
    assert [event["type"] for event in events] == ["hero.updated", "hero.created", "hero.deleted", "hero.updated"]
    assert [event["data"]["hero"]["version"] for event in events] == [2, 1, 1, 3]
    assert [event["data"].get("changed") for event in events] == [["name"], None, None, ["age"]]
    assert not any("secret_name" in event["data"]["hero"] for event in events)
    hero = await stage.hero(first)
    assert hero is not None
    assert (hero["name"], hero["age"], hero["version"], hero["secret_name"]) == ("changed", 7, 3, "nobody knows")
    assert await stage.hero(second) is None


@pytest.mark.parametrize(
    ("last", "code"),
    [
        pytest.param(lambda _: _delete(2**62), "hero_not_found", id="a hero that is not there"),
        pytest.param(
            lambda hero: _update(hero, name="x", expected_version=9), "version_conflict", id="another version"
        ),
    ],
)
async def test_one_operation_that_can_not_be_makes_all_of_them_undone(
    stage: Stage, wire: Wire, last: Any, code: str
) -> None:
    (hero,) = await _heroes(wire, "kept")
    command = _batch(_create("undone"), _update(hero, name="undone"), last(hero))
    await wire.send(command)
    (event,) = await wire.events_of(command.id)
    assert event["type"] == "hero.command_rejected"
    assert (event["data"]["code"], event["data"]["operation"]) == (code, 2)
    assert await stage.rows("SELECT FROM hero WHERE name = 'undone'") == []
    row = await stage.inbox(command.id)
    assert row is not None
    assert row["outcome"] == "rejected"


async def test_a_hero_that_was_deleted_before_in_the_same_batch_is_gone(wire: Wire) -> None:
    (hero,) = await _heroes(wire, "mortal")
    command = _batch(_delete(hero), _update(hero, name="ghost"))
    await wire.send(command)
    (event,) = await wire.events_of(command.id)
    assert (event["data"]["code"], event["data"]["operation"]) == ("hero_not_found", 1)


async def test_a_repeated_batch_takes_effect_once_and_its_reply_tells_all_events(stage: Stage, wire: Wire) -> None:
    command = _batch(_create("once a"), _create("once b"))
    async with wire.replies() as replies:
        await wire.send(command, reply_to=replies.name, correlation_id="mine")
        first = await replies.next()
        await wire.send(command, reply_to=replies.name, correlation_id="mine")
        again = await replies.next()
    told = document(first)
    assert (told["type"], told["causationid"], first.correlation_id) == ("hero.batch.reply", command.id, "mine")
    assert [event["data"]["hero"]["name"] for event in told["data"]["events"]] == ["once a", "once b"]
    assert again.body == first.body
    assert len(await stage.rows("SELECT FROM hero WHERE name LIKE 'once _'")) == 2


async def test_a_rejected_batch_is_answered_with_its_rejection(wire: Wire) -> None:
    async with wire.replies() as replies:
        await wire.send(_batch(_delete(2**62)), reply_to=replies.name)
        assert document(await replies.next())["type"] == "hero.command_rejected"


async def test_a_batch_of_the_largest_size_is_applied_with_a_handful_of_statements(stage: Stage, wire: Wire) -> None:
    command = _batch(*(_create(f"large {number:04d}") for number in range(MOST)))
    await wire.send(command)
    events = await wire.event_messages_of(command.id, MOST)
    names = [document(event)["data"]["hero"]["name"] for event in events]
    assert sorted(names) == [f"large {number:04d}" for number in range(MOST)]
    assert len(await stage.rows("SELECT FROM hero WHERE name LIKE 'large %'")) == MOST


@pytest.mark.parametrize("operations", [[], [{"op": "create", "name": "a", "secret_name": "b"}] * (MOST + 1)])
async def test_no_operation_and_too_many_are_refused(wire: Wire, operations: list[Any]) -> None:
    command = _batch(_create("x"))
    body = command.to_json().decode()
    start = body.index('"operations":') + len('"operations":')
    bent = body[:start] + json.dumps(operations) + body[body.rindex("]") + 1 :]
    await wire.publish(bent.encode(), command.routing_key)
    (event,) = await wire.events_of(command.id)
    assert (event["type"], event["data"]["reason"]) == ("hero.command_dead_lettered", "invalid_command")
    await wire.letters_with(bent.encode())


async def test_batches_and_single_commands_on_the_same_heroes_never_wait_for_each_other_for_ever(
    stage: Stage, wire: Wire
) -> None:
    """Each batch names the heroes in another order; whoever locked them as named would meet a deadlock soon."""
    heroes = await _heroes(wire, *(f"crowd {number}" for number in range(10)))
    commands: list[Any] = []
    for round_number in range(20):
        ordered = heroes if round_number % 2 else heroes[::-1]
        commands.append(_batch(*(_update(hero, age=round_number) for hero in ordered)))
        commands += [update(hero, {"name": "alone"}) for hero in heroes[:3]]
    await asyncio.gather(*(wire.send(command) for command in commands))
    for command in commands:
        await wire.events_of(command.id)
    rows = await stage.rows("SELECT version FROM hero WHERE id = ANY($1) ORDER BY id", heroes)
    assert [row["version"] for row in rows] == [41, 41, 41, *[21] * 7]
    assert wire.letters == []


async def test_a_batch_waits_for_what_came_before_it_to_the_same_worker_and_slot(wire: Wire) -> None:
    """Lanes: its operations on a hero come after that hero's commands that arrived before it."""
    event = await wire.outcome(create(name="laned"))
    hero = event["data"]["hero"]["id"]
    single = update(hero, {"name": "before"})
    batch = _batch(_update(hero, name="after"))
    await wire.publish(single.to_json(), "unslotted")
    await wire.publish(batch.to_json(), "unslotted")
    (after,) = await wire.events_of(batch.id)
    assert (after["data"]["hero"]["name"], after["data"]["hero"]["version"]) == ("after", 3)
