"""What a live server refuses is tried five times in its place, then given up, and never leaves anything half done."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from aio_pika.abc import AbstractIncomingMessage
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.heroes import UpdateHeroData
from tests.harness.commands import create, update
from tests.harness.directed import SECRET, Handlers, as_usual, in_time, is_untouched, nothing_more, recorded, refuse
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire, document, reason_of
from worker import heroes
from worker.outcomes import Fact, Handled


async def test_a_hero_that_somebody_else_has_locked_is_changed_once_it_is_free(
    stage: Stage, wire: Wire, handlers: Handlers, hero_id: int
) -> None:
    name = handlers.name(as_usual)
    command = update(hero_id, {"name": name})
    async with _locked(stage, hero_id):
        await wire.send(command)
        await eventually(_reached(handlers, name, 2), "the first attempt ran into its lock_timeout")
        assert not [one for one in map(document, wire.events) if one["causationid"] == command.id]
        assert await stage.inbox(command.id) is None
    event = (await wire.events_of(command.id))[0]
    assert (event["type"], event["data"]["hero"]["version"]) == ("hero.updated", 2)
    await nothing_more(wire, command, hero_id)
    assert not [letter for letter in wire.letters if letter.body == command.to_json()]


async def test_a_hero_that_stays_locked_costs_five_attempts_and_then_a_letter(
    stage: Stage, wire: Wire, handlers: Handlers, hero_id: int
) -> None:
    async def impatient(session: AsyncSession, data: UpdateHeroData, _: int) -> Handled:
        await session.execute(text("SET LOCAL lock_timeout = '100ms'"))
        return await heroes.apply_update(session, data)

    name = handlers.name(impatient)
    command = update(hero_id, {"name": name, "secret_name": SECRET})
    async with _locked(stage, hero_id):
        event = await wire.outcome(command)
    (letter,) = await wire.letters_with(command.to_json())
    _check_exhausted(letter, event, "55P03")
    assert handlers.attempts[name] == 5
    assert await recorded(stage, command) == ("dead_lettered", [event])
    await is_untouched(stage, hero_id)


async def test_the_victim_of_a_deadlock_tries_again(stage: Stage, wire: Wire, handlers: Handlers, hero_id: int) -> None:
    other_id = int((await wire.outcome(create(name="Other")))["data"]["hero"]["id"])
    holds, crossed = asyncio.Event(), asyncio.Event()
    met: list[str | None] = []

    async def embrace(session: AsyncSession, data: UpdateHeroData, attempt: int) -> Handled:
        facts = await heroes.apply_update(session, data)
        if attempt == 1:
            holds.set()
            await crossed.wait()
        try:
            await session.execute(text("SELECT FROM hero WHERE id = :id FOR UPDATE"), {"id": other_id})
        except DBAPIError as error:
            met.append(getattr(error.orig, "sqlstate", None))
            raise
        return facts

    command = update(hero_id, {"name": handlers.name(embrace)})
    async with _locked(stage, other_id) as peer:
        await wire.send(command)
        await in_time(holds.wait())
        pid = peer.get_server_pid()
        waiting = asyncio.create_task(peer.execute("SELECT FROM hero WHERE id = $1 FOR UPDATE", hero_id))
        # Who waits longer than deadlock_timeout (1 s) has looked for a cycle already: the worker will find it.
        looked = "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock'"
        await eventually(
            lambda: stage.rows(f"{looked} AND query_start < clock_timestamp() - interval '1.3 s'", pid), "it waits"
        )
        crossed.set()
        await in_time(waiting)
    event = (await wire.events_of(command.id))[0]
    assert met == ["40P01"]
    assert (event["type"], event["data"]["hero"]["version"]) == ("hero.updated", 2)


@pytest.mark.parametrize("sqlstate", ["40001", "57014", "P0001"])
async def test_a_statement_that_fails_four_times_is_applied_at_the_fifth(
    stage: Stage, wire: Wire, handlers: Handlers, hero_id: int, sqlstate: str
) -> None:
    async def fail(session: AsyncSession, data: UpdateHeroData, attempt: int) -> Handled:
        facts = await heroes.apply_update(session, data)
        if attempt < 5:
            await refuse(session, sqlstate)
        return facts

    name = handlers.name(fail)
    event = await wire.outcome(update(hero_id, {"name": name}))
    assert (event["type"], event["data"]["hero"]["version"]) == ("hero.updated", 2)
    assert handlers.attempts[name] == 5


_VIOLATIONS = {
    "23502": "INSERT INTO hero (name, secret_name) VALUES (NULL, 'kept-to-myself')",
    "23505": "INSERT INTO hero (id, name, secret_name) OVERRIDING SYSTEM VALUE"
    " SELECT id, 'kept-to-myself', 'kept-to-myself' FROM hero LIMIT 1",
    "22003": "UPDATE hero SET age = 2147483647 + age",
    "22P02": "SELECT CAST('kept-to-myself' AS integer)",
    "42601": "NO SQL AT ALL",
}


@pytest.mark.parametrize("sqlstate", _VIOLATIONS)
async def test_what_the_server_refuses_each_time_is_given_up_after_five_attempts(
    stage: Stage, wire: Wire, handlers: Handlers, hero_id: int, sqlstate: str
) -> None:
    async def violate(session: AsyncSession, data: UpdateHeroData, _: int) -> Handled:
        facts = await heroes.apply_update(session, data)
        await session.execute(text(_VIOLATIONS[sqlstate]))
        return facts

    name = handlers.name(violate)
    command = update(hero_id, {"name": name})
    event = await wire.outcome(command)
    (letter,) = await wire.letters_with(command.to_json())
    _check_exhausted(letter, event, sqlstate)
    assert handlers.attempts[name] == 5
    await is_untouched(stage, hero_id)


async def test_a_handler_that_swallows_a_failed_statement_leaves_nothing_behind(
    stage: Stage, wire: Wire, handlers: Handlers, hero_id: int
) -> None:
    async def swallow(session: AsyncSession, data: UpdateHeroData, _: int) -> Handled:
        facts = await heroes.apply_update(session, data)
        with pytest.raises(DBAPIError):
            await refuse(session, "23505")
        return facts

    command = update(hero_id, {"name": handlers.name(swallow)})
    event = await wire.outcome(command)
    assert (event["type"], event["data"]["reason"]) == ("hero.command_dead_lettered", "retries_exhausted")
    await is_untouched(stage, hero_id)


async def test_a_fact_that_no_document_can_hold_is_given_up(
    stage: Stage, wire: Wire, handlers: Handlers, hero_id: int
) -> None:
    async def tell(session: AsyncSession, data: UpdateHeroData, _: int) -> Handled:
        await heroes.apply_update(session, data)
        return [Fact("hero.updated", str(data.hero_id), {"text": "half a pair: \ud83d"})]

    command = update(hero_id, {"name": handlers.name(tell)})
    event = await wire.outcome(command)
    assert (event["type"], event["data"]["reason"]) == ("hero.command_dead_lettered", "handler_failed")
    await is_untouched(stage, hero_id)


@asynccontextmanager
async def _locked(stage: Stage, hero_id: int) -> AsyncIterator[Any]:
    """Somebody else holds this hero; yields their connection."""
    connection = await asyncpg.connect(stage.database_url.replace("+asyncpg", ""))
    try:
        async with connection.transaction():
            await connection.execute("SELECT FROM hero WHERE id = $1 FOR UPDATE", hero_id)
            yield connection
    finally:
        await connection.close()


def _check_exhausted(letter: AbstractIncomingMessage, event: dict[str, Any], sqlstate: str) -> None:
    assert (reason_of(letter), letter.headers["x-attempts"]) == ("retries_exhausted", 5)
    assert (event["type"], event["data"]["reason"]) == ("hero.command_dead_lettered", "retries_exhausted")
    assert event["data"]["detail"] == letter.headers["x-dead-letter-detail"]
    assert sqlstate in event["data"]["detail"]
    assert SECRET not in str(letter.headers)
    assert SECRET not in str(event)


def _reached(handlers: Handlers, name: str, attempt: int) -> Callable[[], Awaitable[bool]]:
    async def reached() -> bool:
        return handlers.attempts[name] >= attempt

    return reached
