"""A business no, and a command that came too late, are recorded and announced, and change nothing."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from contracts.envelope import Command
from tests.harness.commands import create, delete, document_of, update
from tests.harness.stage import Stage, eventually
from tests.harness.traces_left import new_hero, recorded
from tests.harness.wire import Wire

pytestmark = pytest.mark.usefixtures("worker")


NOBODY = 2**62
"""No hero ever has this id here."""

_REFUSED: dict[str, tuple[Callable[[int], Command], str]] = {
    "update of a hero that is not there": (lambda _: update(NOBODY, {"age": 1}), "hero_not_found"),
    "delete of a hero that is not there": (lambda _: delete(NOBODY), "hero_not_found"),
    "update, a version of no hero": (lambda _: update(NOBODY, {"age": 1}, expected_version=1), "hero_not_found"),
    "delete, a version of no hero": (lambda _: delete(NOBODY, expected_version=1), "hero_not_found"),
    "update of another version": (lambda hero: update(hero, {"age": 1}, expected_version=2), "version_conflict"),
    "delete of another version": (lambda hero: delete(hero, expected_version=2), "version_conflict"),
}


@pytest.mark.parametrize(("make", "code"), _REFUSED.values(), ids=_REFUSED)
async def test_a_business_no_is_recorded_and_announced_and_changes_nothing(
    stage: Stage, wire: Wire, make: Callable[[int], Command], code: str
) -> None:
    hero_id = await new_hero(wire)
    before = await stage.hero(hero_id)
    command = make(hero_id)
    event = await wire.outcome(command)
    await wire.settled(command.routing_key)
    assert (event["type"], event["causationid"]) == ("hero.command_rejected", command.id)
    assert event["subject"] == str(document_of(command)["data"]["hero_id"])
    assert (event["data"]["command_type"], event["data"]["code"]) == (command.type, code)
    assert event["data"]["detail"]
    assert await recorded(stage, command) == (command.type, "rejected", [event])
    assert await stage.hero(hero_id) == before
    assert not await stage.hero(NOBODY)
    assert not [letter for letter in wire.letters if letter.body == command.to_json()]


@pytest.mark.parametrize(
    "expirytime",
    [
        "2001-02-03T04:05:06Z",
        "2001-02-03t04:05:06.123456789z",
        "2001-02-03T04:05:06+14:00",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
    ],
)
async def test_a_command_that_expired_before_its_first_claim_is_rejected(
    stage: Stage, wire: Wire, expirytime: str
) -> None:
    command = create(name=f"Late {uuid4()}", expirytime=expirytime)
    event = await wire.outcome(command)
    assert (event["type"], event["data"]["code"]) == ("hero.command_rejected", "expired")
    assert await recorded(stage, command) == ("hero.create", "rejected", [event])
    assert not await stage.rows("SELECT id FROM hero WHERE name = $1", command.data.name)


@pytest.mark.parametrize("expirytime", ["2999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59"])
async def test_a_command_that_has_not_expired_is_applied(wire: Wire, expirytime: str) -> None:
    assert (await wire.outcome(create(expirytime=expirytime)))["type"] == "hero.created"


async def test_a_command_that_expired_after_it_was_applied_stays_applied(stage: Stage, wire: Wire) -> None:
    (clock,) = await stage.rows("SELECT clock_timestamp() AS now")
    command = create(expirytime=(clock["now"] + timedelta(seconds=2)).isoformat())
    event = await wire.outcome(command)
    assert event["type"] == "hero.created"
    expired = "SELECT 1 WHERE clock_timestamp() > $1"
    await eventually(lambda: stage.rows(expired, datetime.fromisoformat(command.expirytime or "")), "it expired")
    await wire.send(command)
    await wire.settled(command.routing_key)
    assert len(await wire.events_of(command.id)) == 1
    assert await recorded(stage, command) == ("hero.create", "applied", [event])
