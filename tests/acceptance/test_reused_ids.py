"""Another command under a handled id is set aside, and announced the same each time."""

import json
from collections.abc import Callable
from uuid import UUID

import pytest

from contracts.channels import slot
from contracts.envelope import Command
from tests.harness.commands import create, delete, raw_create
from tests.harness.stage import Stage, eventually
from tests.harness.traces_left import left_behind, new_hero, properties_of
from tests.harness.wire import Wire, document, reason_of

pytestmark = pytest.mark.usefixtures("worker")


_REUSED: dict[str, Callable[[Command, int], Command]] = {
    "other data": lambda first, _: create(name="Someone else", id=first.id),
    "age null instead of absent": lambda first, _: create(id=first.id),
    "another type": lambda first, hero_id: delete(hero_id, id=first.id),
}


@pytest.mark.parametrize("reuse", _REUSED.values(), ids=_REUSED)
async def test_another_command_under_a_handled_id_is_set_aside_and_announced_the_same_each_time(
    stage: Stage, wire: Wire, reuse: Callable[[Command, int], Command]
) -> None:
    hero_id = await new_hero(wire)
    first = create(age=5)
    key = first.routing_key
    await wire.outcome(first)
    await eventually(lambda: stage.is_published(first.id), "the row is marked as published")
    before = await left_behind(stage, first, hero_id)
    other = reuse(first, hero_id)

    await wire.publish(other.to_json(), key)
    await wire.publish(other.to_json(), key)
    _, told, again = await wire.event_messages_of(first.id, 3)
    await wire.settled(key)

    event = document(told)
    assert told.body == again.body
    assert (told.message_id, properties_of(told)) == (event["id"], properties_of(again))
    assert UUID(event["id"]).version == 5
    assert event["type"] == "hero.command_dead_lettered"
    assert (event["data"]["reason"], event["data"]["command_type"]) == ("id_reused", other.type)
    assert event["time"] == other.time
    letters = await wire.letters_with(other.to_json(), 2)
    assert [reason_of(letter) for letter in letters] == ["id_reused", "id_reused"]
    assert letters[0].headers["x-dead-letter-detail"] == event["data"]["detail"]
    assert len(await wire.events_of(first.id)) == 3
    assert await left_behind(stage, first, hero_id) == before


async def test_two_different_bodies_under_one_handled_id_are_two_different_events(wire: Wire) -> None:
    first = create(name="First")
    await wire.outcome(first)
    for name in ("Second", "Third"):
        await wire.publish(create(name=name, id=first.id).to_json(), first.routing_key)
    _, second, third = await wire.events_of(first.id, 3)
    assert second["id"] != third["id"]


async def test_a_reused_id_that_told_no_time_is_announced_without_one_and_still_the_same(wire: Wire) -> None:
    given = raw_create()
    del given["time"]
    other = {**given, "data": {**given["data"], "name": "Someone else"}}
    key = slot(given["id"])
    for one in (given, other, other):
        await wire.publish(json.dumps(one).encode(), key)
    _, told, again = await wire.event_messages_of(given["id"], 3)
    assert "time" not in document(told)
    assert told.body == again.body
