"""A command that comes again changes nothing, and publishes only what is not out yet."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import pytest

from contracts.channels import SLOTS, slot
from contracts.envelope import Command
from tests.harness.commands import create, raw_create, update
from tests.harness.stage import Stage, eventually
from tests.harness.traces_left import left_behind, new_hero, properties_of, some_command
from tests.harness.wire import Wire
from worker.outcomes import Outcome
from worker.persistence import inbox

pytestmark = pytest.mark.usefixtures("worker")


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

NOBODY = 2**62
"""No hero ever has this id here."""


@pytest.mark.parametrize("kind", ["create", "update", "delete", "rejected"])
async def test_a_duplicate_whose_events_are_out_changes_nothing_and_publishes_nothing(
    stage: Stage, wire: Wire, kind: str
) -> None:
    hero_id = await new_hero(wire)
    command = some_command(kind, hero_id)
    await wire.outcome(command)
    await eventually(lambda: stage.is_published(command.id), "the row is marked as published")
    before = await left_behind(stage, command, hero_id)

    await wire.send(command)
    await wire.send(command)
    await wire.settled(command.routing_key)

    assert await left_behind(stage, command, hero_id) == before
    assert len(await wire.events_of(command.id)) == 1


async def test_twins_at_the_same_moment_take_effect_once(stage: Stage, wire: Wire) -> None:
    """Through different queues, so that they are really under way together."""
    name = f"Twin {uuid4()}"
    command = create(name=name)
    slots = [f"{number:02d}" for number in range(SLOTS)]
    await asyncio.gather(*(wire.publish(command.to_json(), key) for key in slots))
    for key in slots:
        await wire.settled(key)
    heroes = await stage.rows("SELECT id FROM hero WHERE name = $1", name)
    assert len(heroes) == 1
    assert {event["data"]["hero"]["id"] for event in await wire.events_of(command.id)} == {heroes[0]["id"]}
    assert len(await wire.events_of(command.id)) == 1


async def test_a_duplicate_that_looked_just_before_the_row_was_marked_publishes_nothing(
    stage: Stage, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, looked = create(), asyncio.Event()
    claim, mark_published = inbox.claim, inbox.mark_published

    async def claim_and_dawdle(driver: Any, claimed: Command) -> Any:
        result = await claim(driver, claimed)
        if claimed.id == command.id and isinstance(result, Outcome):
            looked.set()
            await eventually(lambda: stage.is_published(command.id), "the row is marked as published")
        return result

    async def mark_once_it_looked(session: Any, marks: Mapping[str, str]) -> None:
        if command.id in marks:
            await looked.wait()
        await mark_published(session, marks)

    monkeypatch.setattr(inbox, "claim", claim_and_dawdle)
    monkeypatch.setattr(inbox, "mark_published", mark_once_it_looked)
    await asyncio.gather(wire.send(command), wire.send(command))
    async with asyncio.timeout(10):
        await looked.wait()
    await wire.settled(command.routing_key)
    assert len(await wire.events_of(command.id)) == 1


@pytest.mark.parametrize("kind", ["update", "rejected", "expired"])
async def test_a_duplicate_whose_events_are_not_out_publishes_the_very_same_events(
    stage: Stage, wire: Wire, kind: str
) -> None:
    hero_id = await new_hero(wire)
    command = some_command(kind, hero_id)
    await wire.outcome(command)
    await eventually(lambda: stage.is_published(command.id), "the row is marked as published")
    await stage.rows("UPDATE inbox SET published_at = NULL WHERE command_id = $1", command.id)
    before = await left_behind(stage, command, hero_id)

    await wire.send(command)
    first, second = await wire.event_messages_of(command.id, 2)

    assert second.body == first.body
    assert properties_of(second) == properties_of(first)
    await wire.settled(command.routing_key)
    await eventually(lambda: stage.is_published(command.id), "the row is marked again")
    assert _unmarked(await left_behind(stage, command, hero_id)) == _unmarked(before)
    assert len(await wire.events_of(command.id)) == 2


async def test_a_rejection_stands_even_if_the_command_would_succeed_by_now(stage: Stage, wire: Wire) -> None:
    hero_id = NOBODY - 1
    command = update(hero_id, {"name": "Too late"})
    assert (await wire.outcome(command))["data"]["code"] == "hero_not_found"
    await stage.rows(
        "INSERT INTO hero (id, name, secret_name) OVERRIDING SYSTEM VALUE VALUES ($1, 'Now here', 'x')", hero_id
    )
    await wire.send(command)
    await wire.settled(command.routing_key)
    hero = await stage.hero(hero_id)
    assert hero is not None
    assert (hero["name"], hero["version"]) == ("Now here", 1)
    assert len(await wire.events_of(command.id)) == 1


_REWRITTEN: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "other key order": lambda given: json.dumps(_reversed(given)).encode(),
    "other whitespace": lambda given: b"\r\n\t " + json.dumps(given, indent=3).encode() + b" \n",
    "escaped letters": lambda given: "".join(
        f"\\u{ord(letter):04x}" if letter in "aé" else letter for letter in json.dumps(given, ensure_ascii=False)
    ).encode(),
    "unescaped letters": lambda given: json.dumps(given, ensure_ascii=False).encode(),
    "unknown attributes": lambda given: json.dumps({**given, "partitionkey": "7", "extra": {"deep": [1]}}).encode(),
    "another time and source": lambda given: json.dumps(
        {**given, "time": "2001-02-03T04:05:06Z", "source": "/again"}
    ).encode(),
    "no time": lambda given: json.dumps({name: value for name, value in given.items() if name != "time"}).encode(),
    "another trace": lambda given: json.dumps({**given, "traceparent": TRACE, "correlationid": "again"}).encode(),
    "a data content type": lambda given: json.dumps({**given, "datacontenttype": "application/json"}).encode(),
    "an expiry time that has passed": lambda given: json.dumps(
        {**given, "expirytime": "2001-02-03T04:05:06Z"}
    ).encode(),
}


@pytest.mark.parametrize("rewrite", _REWRITTEN.values(), ids=_REWRITTEN)
async def test_a_resend_that_is_written_differently_is_a_duplicate(
    stage: Stage, wire: Wire, rewrite: Callable[[dict[str, Any]], bytes]
) -> None:
    name = f"Zoé {uuid4()}"
    given = raw_create(data={"name": name, "secret_name": "a b", "age": 1})
    key = slot(given["id"])
    await wire.publish(json.dumps(given).encode(), key)
    await wire.events_of(given["id"])
    await wire.publish(rewrite(given), key)
    await wire.settled(key)
    assert len(await wire.events_of(given["id"])) == 1
    assert not [letter for letter in wire.letters if given["id"].encode() in letter.body]
    assert len(await stage.rows("SELECT id FROM hero WHERE name = $1", name)) == 1


def _unmarked(everything: dict[str, Any]) -> dict[str, Any]:
    return {**everything, "inbox": {**everything["inbox"], "published_at": None}}


def _reversed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _reversed(value[name]) for name in reversed(value)}
    return value
