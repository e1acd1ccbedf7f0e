"""What is only away costs no attempt, and no connection from before is used again."""

import asyncio
import gc

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.heroes import CreateHeroData, UpdateHeroData
from tests.harness.commands import create, update
from tests.harness.directed import Handlers, in_time, nothing_more, refuse
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire
from worker import heroes
from worker.outcomes import Handled
from worker.persistence import gate


async def test_a_lost_connection_costs_no_attempt(stage: Stage, wire: Wire, handlers: Handlers, hero_id: int) -> None:
    async def saw_off_the_branch(session: AsyncSession, data: UpdateHeroData, attempt: int) -> Handled:
        facts = await heroes.apply_update(session, data)
        if attempt <= 6:
            await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return facts

    name = handlers.name(saw_off_the_branch)
    command = update(hero_id, {"name": name})
    event = await wire.outcome(command)
    assert (event["type"], event["data"]["hero"]["version"]) == ("hero.updated", 2)
    assert handlers.attempts[name] == 7
    await nothing_more(wire, command, hero_id)


_AWAY = ["08006", "28000", "3D000", "53300", "57P01", "57P03", "58030", "XX000", "25006", "42501", "42P01", "42703"]


async def test_a_server_that_is_not_the_one_we_need_costs_no_attempt(
    wire: Wire, handlers: Handlers, hero_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "_LONGEST_PAUSE_SECONDS", 0.5)

    async def fail(session: AsyncSession, data: UpdateHeroData, attempt: int) -> Handled:
        facts = await heroes.apply_update(session, data)
        if attempt <= len(_AWAY):
            await refuse(session, _AWAY[attempt - 1])
        return facts

    name = handlers.name(fail)
    event = await wire.outcome(update(hero_id, {"name": name}))
    assert (event["type"], event["data"]["hero"]["version"]) == ("hero.updated", 2)
    assert handlers.attempts[name] == len(_AWAY) + 1


async def test_a_client_time_out_costs_no_attempt(wire: Wire, handlers: Handlers, hero_id: int) -> None:
    async def fail(session: AsyncSession, data: UpdateHeroData, attempt: int) -> Handled:
        if attempt <= 6:
            async with asyncio.timeout(0.02):
                await session.execute(text("SELECT pg_sleep(2)"))
        return await heroes.apply_update(session, data)

    name = handlers.name(fail)
    event = await wire.outcome(update(hero_id, {"name": name}))
    assert (event["type"], event["data"]["hero"]["version"]) == ("hero.updated", 2)
    assert handlers.attempts[name] == 7


async def test_a_connection_from_before_an_outage_is_closed_once_its_command_is_done(
    stage: Stage, wire: Wire, handlers: Handlers, hero_id: int
) -> None:
    pids: list[int] = []
    holds, release = asyncio.Event(), asyncio.Event()

    async def hold(session: AsyncSession, data: UpdateHeroData, _: int) -> Handled:
        pids.append((await session.execute(text("SELECT pg_backend_pid()"))).scalar_one())
        holds.set()
        await release.wait()
        return await heroes.apply_update(session, data)

    async def lose(session: AsyncSession, data: CreateHeroData, attempt: int) -> Handled:
        if attempt == 1:
            await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return await heroes.create(session, data)

    async def is_closed() -> bool:
        await wire.outcome(create())  # the pool may find out when it next takes a connection
        return not await stage.rows("SELECT 1 FROM pg_stat_activity WHERE pid = $1", pids[0])

    gc.disable()  # whoever leaves it to the garbage collector keeps the server's connections for longer than needed
    try:
        command = update(hero_id, {"name": handlers.name(hold)})
        await wire.send(command)
        await in_time(holds.wait())
        await wire.outcome(create(name=handlers.name(lose)))
        release.set()
        assert (await wire.events_of(command.id))[0]["type"] == "hero.updated"
        await eventually(is_closed, "the connection from before is closed", within_seconds=5)
    finally:
        gc.enable()
