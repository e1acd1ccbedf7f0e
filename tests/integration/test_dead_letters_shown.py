"""`heroes dead-letters list` and `show`: what they tell, what they hide, and that every letter stays in its place."""

import asyncio
import json
import os
from datetime import UTC, datetime
from hashlib import sha256

import pytest

from tests.harness.commands import create, update
from tests.harness.failing import DROP, LIST, SECRET, SHOW
from tests.harness.letters import Pigeonhole, lines
from tests.harness.press import DONE, REFUSED, USAGE, Press
from tests.harness.stage import Stage
from worker.operations.dead_letters.advice import advice
from worker.outcomes import Reason


async def test_list_groups_letters_and_leaves_them_in_their_order(press: Press, stage: Stage, hole: Pigeonhole) -> None:
    """Looked at, interrupted by a crash, and looked at again."""
    first, last = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
    commands = [create() for _ in range(700)]
    await asyncio.gather(*(hole.put_command(one, at=first) for one in commands))
    await hole.put(b"no JSON", reason="invalid_command", at=first)
    await hole.put_command(update(7, {"age": 3}), at=first)
    await hole.put_command(update(8, {"age": 3}), at=last)
    environment = {"HEROES_RABBITMQ_URL": stage.rabbitmq_url}
    order = [line["id"] for line in lines((await press.run(environment, *LIST, "--ids", "--json")).ends(DONE).output)]
    crash = "from worker.operations.dead_letters.listing import Groups; Groups.add = lambda *_: os._exit(99)"
    assert (await press.run(environment, *LIST, before=crash)).code == 99
    await hole.holds(703)
    told = (await press.run(environment, *LIST, "--json")).ends(DONE).document
    assert told["total"] == 703
    groups = {(one["reason"], one["type"]): one for one in told["groups"]}
    assert {key: one["count"] for key, one in groups.items()} == {
        ("handler_failed", "hero.create"): 700,
        ("handler_failed", "hero.update"): 2,
        ("invalid_command", "unknown"): 1,
    }
    updates = groups["handler_failed", "hero.update"]
    assert (updates["oldest"], updates["newest"]) == ("2026-01-02T03:04:05Z", "2026-02-03T04:05:06Z")
    people = await press.run(environment, *LIST, "--type", "hero.update")
    shown = "2 dead letters; not asked for: 701"
    people.ends(DONE, "hero.update", "2026-02-03T04:05:06Z", "deploy the cure", shown)
    assert "hero.create" not in people.output
    mistyped = await press.run(environment, *LIST, "--reason", "handler-failed")
    mistyped.ends(DONE, "0 dead letters; not asked for: 703")
    assert SECRET not in people.output
    await hole.holds(703)
    left = await hole.bodies(703)
    assert [json.loads(body)["id"] for body in left if body != b"no JSON"] == order[:700] + order[701:]
    assert left[700] == b"no JSON"


async def test_who_ends_early_leaves_them_in_their_order_too(press: Press, stage: Stage, hole: Pigeonhole) -> None:
    """Letters that were given back before are given back behind each other: those that were not looked at, too."""
    commands = [create() for _ in range(100)]
    for one in commands:
        await hole.put_command(one)
    environment = {"HEROES_RABBITMQ_URL": stage.rabbitmq_url}
    small = "import worker.messaging.letterbox as l; l.FIRST_WINDOW = 4"
    (await press.run(environment, *LIST, before=small)).ends(DONE, "100 dead letters")
    early = await press.run(environment, *DROP, "--all", "--why", "x", "--log", os.devnull, before=small)
    early.ends(USAGE, "more than one")
    await hole.holds(100)
    assert await hole.bodies(100) == [one.to_json() for one in commands]


async def test_an_empty_queue_has_no_letters(press: Press, stage: Stage, hole: Pigeonhole) -> None:
    (await press.run({"HEROES_RABBITMQ_URL": stage.rabbitmq_url}, *LIST)).ends(DONE, "0 dead letters")


@pytest.mark.parametrize("reason", [*Reason, "delivery_limit", "expired", "anything"])
def test_every_reason_has_one_sentence_of_advice(reason: str) -> None:
    assert 20 < len(advice(reason)) < 130
    assert advice(reason).endswith(".")


async def test_show_masks_what_is_secret_until_it_is_asked_for(press: Press, stage: Stage, hole: Pigeonhole) -> None:
    environment = {"HEROES_RABBITMQ_URL": stage.rabbitmq_url}
    command = create("Shown", SECRET)
    await hole.put_command(command, headers={"secret_name": SECRET, "note": "\x1b[2J[red]kept[/]"})
    said = await press.run(environment, *SHOW, command.id)
    said.ends(DONE, "Shown", '"secret_name": "***"', "it raised KeyError", "deploy the cure", "[red]kept[/]")
    assert SECRET not in said.output
    assert "\x1b" not in said.output
    document = (await press.run(environment, *SHOW, command.id, "--json", "--reveal")).ends(DONE).document
    assert document["body"] == json.loads(command.to_json())
    assert (document["exchange"], document["routing_key"]) == ("heroes.commands", command.routing_key)
    assert await hole.count() == 1


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (f'{{"Secret-Name": "{SECRET}", "data": [{{"secretName": "{SECRET}"}}], "x": 3}}'.encode(), '"x": 3'),
        (f"secret_name={SECRET}".encode(), "--reveal shows it"),
        (f'["{SECRET}"]'.encode(), "--reveal shows it"),
        (b"[" * 100_000 + SECRET.encode(), "--reveal shows it"),
        (b'{"a":' * 900 + b"1" + b"}" * 900, "body"),
        (b"\xff" + SECRET.encode(), "--reveal shows it"),
    ],
    ids=["other spelling", "text", "list", "deep", "deep but right", "bytes"],
)
async def test_show_reveals_no_secret_of_a_body_that_is_wrong(
    press: Press, stage: Stage, hole: Pigeonhole, body: bytes, shown: str
) -> None:
    await hole.put(body, reason="invalid_command", message_id="the message's own id")
    environment = {"HEROES_RABBITMQ_URL": stage.rabbitmq_url}
    by_hash = await press.run(environment, *SHOW, f"sha256:{sha256(body).hexdigest()}")
    by_id = await press.run(environment, *SHOW, "the message's own id")
    assert by_hash.ends(DONE, shown).output == by_id.output
    assert SECRET not in by_id.output


async def test_show_says_when_there_is_no_such_letter(press: Press, stage: Stage) -> None:
    said = await press.run({"HEROES_RABBITMQ_URL": stage.rabbitmq_url}, *SHOW, "nobody")
    said.ends(REFUSED, "no dead letter is called nobody", "heroes dead-letters list --ids")
