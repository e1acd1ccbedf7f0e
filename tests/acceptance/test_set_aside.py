"""What is no command is set aside; one that only took a wrong way is applied."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest

from contracts.channels import SLOTS, slot
from tests.harness.commands import create, raw_create, update
from tests.harness.stage import Stage
from tests.harness.traces_left import SECRET, new_hero, recorded
from tests.harness.wire import Wire, reason_of

pytestmark = pytest.mark.usefixtures("worker")


@pytest.mark.parametrize(
    ("change", "reason"), [({"data": {"name": "Half a hero"}}, "invalid_command"), ({"type": "hero.x"}, "unknown_type")]
)
async def test_what_is_no_command_is_set_aside_and_announced_without_a_row(
    stage: Stage, wire: Wire, change: Mapping[str, Any], reason: str
) -> None:
    given = raw_create(**change)
    body = json.dumps(given).encode()
    await wire.publish(body)
    (letter,) = await wire.letters_with(body)
    (event,) = await wire.events_of(given["id"])
    await wire.settled("00")
    assert reason_of(letter) == reason
    assert (event["type"], event["data"]["reason"]) == ("hero.command_dead_lettered", reason)
    assert await stage.inbox(given["id"]) is None


async def test_the_id_of_a_malformed_command_is_free_for_the_corrected_one(stage: Stage, wire: Wire) -> None:
    given = raw_create(data={"name": "Half a hero"})
    key = slot(given["id"])
    await wire.publish(json.dumps(given).encode(), key)
    await wire.events_of(given["id"])
    await wire.publish(json.dumps({**given, "data": {"name": "Whole", "secret_name": SECRET}}).encode(), key)
    _, event = await wire.events_of(given["id"], 2)
    assert event["type"] == "hero.created"


@pytest.mark.parametrize("routing_key", ["", "16", "7", "000", "hero.create", pytest.param("é" * 100, id="200 bytes")])
async def test_a_command_whose_routing_key_is_no_slot_is_applied(stage: Stage, wire: Wire, routing_key: str) -> None:
    command = create()
    await wire.publish(command.to_json(), routing_key)
    (event,) = await wire.events_of(command.id)
    await wire.settled(routing_key)
    assert event["type"] == "hero.created"
    assert await wire.depth("heroes.commands.unslotted") == 0
    assert await recorded(stage, command) == ("hero.create", "applied", [event])


async def test_a_bad_command_without_a_slot_keeps_its_routing_key_on_the_letter(wire: Wire) -> None:
    body = f"no command {uuid4()}".encode()
    await wire.publish(body, "nowhere")
    (letter,) = await wire.letters_with(body)
    assert letter.headers["x-original-exchange"] == "heroes.commands"
    assert letter.headers["x-original-routing-key"] == "nowhere"


async def test_a_command_in_a_wrong_slot_is_applied(stage: Stage, wire: Wire) -> None:
    hero_id = await new_hero(wire)
    command = update(hero_id, {"name": "Strayed"})
    wrong = f"{(int(command.routing_key) + 1) % SLOTS:02d}"
    await wire.publish(command.to_json(), wrong)
    (event,) = await wire.events_of(command.id)
    await wire.settled(wrong)
    assert event["type"] == "hero.updated"
    hero = await stage.hero(hero_id)
    assert hero is not None
    assert hero["name"] == "Strayed"
