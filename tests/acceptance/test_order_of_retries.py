"""While a command is tried again, later ones for its hero wait, and other heroes go on."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.heroes import UpdateHeroData
from tests.harness.commands import create, delete, update
from tests.harness.directed import Handlers, in_time
from tests.harness.stage import Stage
from tests.harness.wire import Wire, document
from worker import heroes
from worker.outcomes import Handled


@pytest.mark.parametrize("fate", ["applied", "given up"])
async def test_a_later_command_for_the_same_hero_waits_and_other_heroes_go_on(
    stage: Stage, wire: Wire, handlers: Handlers, hero_id: int, fate: str
) -> None:
    again, release = asyncio.Event(), asyncio.Event()

    async def stumble_then_wait(session: AsyncSession, data: UpdateHeroData, attempt: int) -> Handled:
        if attempt > 1:
            again.set()
            await release.wait()
        if attempt == 1 or fate == "given up":
            raise RuntimeError("a bug")
        return await heroes.apply_update(session, data)

    first = update(hero_id, {"name": handlers.name(stumble_then_wait)})
    later = [update(hero_id, {"age": 1}), update(hero_id, {"age": 2}), delete(hero_id)]
    for command in (first, *later):
        await wire.send(command)
    await in_time(again.wait())

    others = [create(name="Other") for _ in range(20)]
    in_its_queue = create(name="Behind it in its queue")
    await wire.publish(in_its_queue.to_json(), first.routing_key)
    for other in others:
        await wire.send(other)
    for other in (*others, in_its_queue):
        assert (await wire.events_of(other.id))[0]["type"] == "hero.created"
    assert not [one for one in map(document, wire.events) if one["causationid"] in {first.id, *(x.id for x in later)}]
    assert [await stage.inbox(command.id) for command in (first, *later)] == [None] * 4

    release.set()
    await wire.events_of(later[-1].id)
    mine = {command.id: position for position, command in enumerate((first, *later))}
    told = [event for event in map(document, wire.events) if event["causationid"] in mine]
    assert [mine[event["causationid"]] for event in told] == [0, 1, 2, 3]
    assert [event["type"] for event in told] == [
        "hero.updated" if fate == "applied" else "hero.command_dead_lettered",
        "hero.updated",
        "hero.updated",
        "hero.deleted",
    ]
    assert told[-1]["data"]["hero"]["version"] == (4 if fate == "applied" else 3)
