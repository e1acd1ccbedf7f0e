"""`heroes dead-letters replay` with a worker at work: one effect for each command, and none overtakes a newer one."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import aio_pika

from tests.harness.commands import create, update
from tests.harness.failing import BROKEN, REPLAY, becomes, given_up, heroes_called, send
from tests.harness.letters import Pigeonhole
from tests.harness.press import DONE, REFUSED, Press
from tests.harness.stage import Stage
from worker.app import Worker


async def test_a_replayed_letter_takes_effect_as_the_command_that_it_was(
    press: Press, stage: Stage, hole: Pigeonhole, worker: Worker
) -> None:
    command = create(name := f"Replayed {uuid4()}")
    BROKEN.add(name)
    await given_up(stage, hole, command)
    environment = stage.environment()
    dry = await press.run(environment, *REPLAY, command.id, "--dry-run")
    dry.ends(DONE, "1 would be sent again")
    assert await hole.count() == 1
    BROKEN.clear()
    (await press.run(environment, *REPLAY, command.id)).ends(DONE, "1 sent again")
    await becomes(stage, command, "applied")
    assert await hole.count() == 0
    assert await heroes_called(stage, name) == 1
    (await press.run(environment, *REPLAY, command.id)).ends(REFUSED, "no dead letter is called")


async def test_a_replay_that_fails_again_is_a_letter_again(
    press: Press, stage: Stage, hole: Pigeonhole, worker: Worker
) -> None:
    command = create(name := f"Hopeless {uuid4()}")
    BROKEN.add(name)
    await given_up(stage, hole, command)
    first = await stage.inbox(command.id)
    (await press.run(stage.environment(), *REPLAY, "--reason", "handler_failed")).ends(DONE, "1 sent again")
    await hole.holds(1)
    await becomes(stage, command, "dead_lettered")
    again = await stage.inbox(command.id)
    assert first is not None
    assert again is not None
    assert again["handled_at"] > first["handled_at"]


async def test_what_changed_since_is_not_overtaken_unless_forced(
    press: Press, stage: Stage, hole: Pigeonhole, worker: Worker
) -> None:
    born, name = create(), f"Late {uuid4()}"
    await send(hole, born)
    await becomes(stage, born, "applied")
    row = await stage.inbox(born.id)
    assert row is not None
    hero_id = int(json.loads(row["events"])[0]["subject"])
    late, other = update(hero_id, {"name": name}), update(hero_id, {"age": 5})
    BROKEN.add(name)
    await given_up(stage, hole, late)
    environment = stage.environment()
    (await press.run(environment, *REPLAY, late.id, "--dry-run")).ends(DONE, "1 would be sent again")
    await send(hole, other)
    await becomes(stage, other, "applied")
    BROKEN.clear()
    refused = await press.run(environment, *REPLAY, "--all")
    refused.ends(REFUSED, "1 refused: what it is about has changed since", late.id)
    assert await hole.count() == 1
    (await press.run(environment, *REPLAY, "--all", "--force")).ends(DONE, "1 sent again")
    await becomes(stage, late, "applied")
    assert await heroes_called(stage, name) == 1


async def test_what_a_replay_changes_itself_stands_in_no_later_letters_way(
    press: Press, stage: Stage, hole: Pigeonhole, worker: Worker
) -> None:
    """One after the other, slowly; but the letter that was set aside before another one may not follow it."""
    born, names = create(), [f"Later {uuid4()}" for _ in range(3)]
    await send(hole, born)
    await becomes(stage, born, "applied")
    hero_id = int(json.loads((await stage.inbox(born.id) or {})["events"])[0]["subject"])
    BROKEN.update(names)
    updates = [update(hero_id, {"name": name}) for name in names]
    for one in updates:
        await given_up(stage, hole, one)
    first = (await hole.take(1))[0]
    letters = await hole.channel.get_exchange("heroes.dead_letters", ensure=False)
    await letters.publish(aio_pika.Message(first.body, headers=first.headers), first.routing_key or "")
    BROKEN.clear()
    said = await press.run(stage.environment(), *REPLAY, "--all", "--rate", "5/s")
    said.ends(REFUSED, "2 sent again", "1 refused: what it is about has changed since", updates[0].id)
    for one in updates[1:]:
        await becomes(stage, one, "applied")
    assert await heroes_called(stage, names[2]) == 1


async def test_what_the_inbox_may_have_forgotten_is_not_replayed_unless_forced(
    press: Press, stage: Stage, hole: Pigeonhole, worker: Worker
) -> None:
    command = create(name := f"Old {uuid4()}")
    await hole.put_command(command, at=datetime.now(UTC) - timedelta(days=7, minutes=1))
    environment = stage.environment()
    (await press.run(environment, *REPLAY, command.id)).ends(REFUSED, "1 refused: older than the inbox's retention")
    longer = {**environment, "HEROES_INBOX_RETENTION_DAYS": "8"}
    (await press.run(longer, *REPLAY, command.id, "--dry-run")).ends(DONE, "1 would be sent again")
    (await press.run(environment, *REPLAY, command.id, "--force")).ends(DONE, "1 sent again")
    await becomes(stage, command, "applied")
    assert await heroes_called(stage, name) == 1


async def test_a_letter_whose_command_took_effect_is_only_removed_and_another_one_under_its_id_stays(
    press: Press, stage: Stage, hole: Pigeonhole, worker: Worker
) -> None:
    command, no = create(name := f"Done {uuid4()}"), update(2**60, {"age": 3})
    await send(hole, command)
    await send(hole, no)
    await becomes(stage, command, "applied")
    await becomes(stage, no, "rejected")
    impostor = create("Impostor", id=command.id)
    for one in (command, no, impostor):
        await hole.put_command(one)
    said = await press.run(stage.environment(), *REPLAY, "--all")
    said.ends(REFUSED, "applied meanwhile", "rejected meanwhile", "1 refused: its id was handled with another content")
    assert await hole.bodies(1) == [impostor.to_json()]
    assert await heroes_called(stage, name) == 1
    assert await heroes_called(stage, "Impostor") == 0


async def test_copies_of_one_letter_have_one_effect(
    press: Press, stage: Stage, hole: Pigeonhole, worker: Worker
) -> None:
    command = create(name := f"Copied {uuid4()}")
    BROKEN.add(name)
    await given_up(stage, hole, command)
    for _ in range(3):
        await hole.put_command(command)
    BROKEN.clear()
    (await press.run(stage.environment(), *REPLAY, command.id)).ends(DONE)
    await becomes(stage, command, "applied")
    assert await hole.count() == 0
    assert await heroes_called(stage, name) == 1
