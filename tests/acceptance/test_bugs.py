"""A bug is tried again in its place, then given up, and never leaves anything half done."""

import logging
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.heroes import CreateHeroData, UpdateHeroData
from tests.harness.commands import create, update
from tests.harness.directed import SECRET, Handlers, as_usual, nothing_more, recorded
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire, document, reason_of
from worker import heroes
from worker.outcomes import Handled


async def test_a_bug_that_goes_away_after_two_attempts_leaves_the_effect_once(
    stage: Stage, wire: Wire, handlers: Handlers
) -> None:
    async def write_then_stumble(session: AsyncSession, data: CreateHeroData, attempt: int) -> Handled:
        facts = await heroes.create(session, data)
        if attempt < 3:
            raise RuntimeError("a bug")
        return facts

    name = handlers.name(write_then_stumble)
    command = create(name=name)
    event = await wire.outcome(command)
    assert (event["type"], handlers.attempts[name]) == ("hero.created", 3)
    written = await stage.rows("SELECT id FROM hero WHERE name = $1", name)
    assert [hero["id"] for hero in written] == [event["data"]["hero"]["id"]]
    assert await recorded(stage, command) == ("applied", [event])
    await nothing_more(wire, command, event["data"]["hero"]["id"])


async def test_a_bug_that_stays_is_given_up_after_three_attempts_and_remembered(
    stage: Stage, wire: Wire, handlers: Handlers, hero_id: int
) -> None:
    async def write_then_raise(session: AsyncSession, data: UpdateHeroData, _: int) -> Handled:
        await heroes.apply_update(session, data)
        raise ValueError(f"can't do this to {data.changes}")

    name = handlers.name(write_then_raise)
    before = await stage.hero(hero_id)
    command = update(hero_id, {"name": name, "secret_name": SECRET}, correlationid="order 66")
    async with wire.replies() as replies:
        await wire.send(command, reply_to=replies.name, correlation_id="and?")
        await wire.send(command)  # a twin that arrives meanwhile changes nothing
        reply = await replies.next()
    (letter,) = await wire.letters_with(command.to_json())
    (message,) = await wire.event_messages_of(command.id)
    event = document(message)
    await nothing_more(wire, command, hero_id)

    assert handlers.attempts[name] == 3
    assert await stage.hero(hero_id) == {**(before or {}), **await _changed_since(stage, hero_id)}
    assert event["type"] == message.type == message.routing_key == "hero.command_dead_lettered"
    assert (event["causationid"], event["correlationid"]) == (command.id, "order 66")
    assert event["data"]["command_type"] == "hero.update"
    assert event["data"]["reason"] == reason_of(letter) == "handler_failed"
    assert event["data"]["detail"] == letter.headers["x-dead-letter-detail"]
    assert letter.headers["x-attempts"] == 3
    for value in (SECRET, name, "Hero"):
        assert value not in message.body.decode()
        assert value not in str(letter.headers)
    assert (reply.body, reply.correlation_id) == (message.body, "and?")
    assert await recorded(stage, command) == ("dead_lettered", [event])
    await eventually(lambda: stage.is_published(command.id), "the row is marked as published")


async def test_a_handler_that_would_end_the_process_is_given_up_and_neither_stops_nor_overtakes_anybody(
    wire: Wire, handlers: Handlers, hero_id: int
) -> None:
    """A library's `sys.exit()`, say: to FastStream it is the end of the subscriber, which drops every later message."""

    async def leave(_: AsyncSession, __: UpdateHeroData, ___: int) -> Handled:
        raise SystemExit(1)

    name = handlers.name(leave)
    command, after = update(hero_id, {"name": name}), update(hero_id, {"age": 40})
    for one in (command, after):
        await wire.send(one)
    (given_up,), (applied,) = await wire.events_of(command.id), await wire.events_of(after.id)
    assert (given_up["data"]["reason"], handlers.attempts[name]) == ("handler_failed", 3)
    assert "SystemExit" in given_up["data"]["detail"]
    assert applied["type"] == "hero.updated"
    assert given_up["time"] < applied["time"], "nobody overtook it"


async def test_the_twin_of_a_given_up_command_is_only_acknowledged(
    stage: Stage, wire: Wire, handlers: Handlers, hero_id: int
) -> None:
    name = handlers.name(_always_a_bug)
    command = update(hero_id, {"name": name})
    event = await wire.outcome(command)
    await eventually(lambda: stage.is_published(command.id), "the row is marked as published")
    row = await stage.inbox(command.id)
    handlers.on[name] = as_usual  # it would succeed by now, and must not

    await wire.send(command)
    await wire.send(command)
    await nothing_more(wire, command, hero_id)

    assert handlers.attempts[name] == 3
    assert await stage.inbox(command.id) == row
    assert await wire.events_of(command.id) == [event]
    assert len(await wire.letters_with(command.to_json())) == 1
    hero = await stage.hero(hero_id)
    assert hero is not None
    assert hero["name"] == "Ada"


async def test_while_its_event_is_not_out_a_given_up_command_repeats_letter_and_event(
    stage: Stage, wire: Wire, handlers: Handlers, hero_id: int
) -> None:
    name = handlers.name(_always_a_bug)
    command = update(hero_id, {"name": name})
    await wire.outcome(command)
    await eventually(lambda: stage.is_published(command.id), "the row is marked as published")
    await stage.rows("UPDATE inbox SET published_at = NULL WHERE command_id = $1", command.id)

    await wire.send(command)
    first, again = await wire.event_messages_of(command.id, 2)
    letters = await wire.letters_with(command.to_json(), 2)

    assert (again.body, again.message_id) == (first.body, first.message_id)
    told = [(reason_of(one), one.headers["x-dead-letter-detail"]) for one in letters]
    assert told[0] == told[1]
    assert handlers.attempts[name] == 3
    await eventually(lambda: stage.is_published(command.id), "the row is marked again")


async def test_no_log_tells_what_stood_in_a_field_even_if_the_bug_quotes_it(
    wire: Wire, handlers: Handlers, hero_id: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def quote(_: AsyncSession, data: UpdateHeroData, __: int) -> Handled:
        raise ValueError(f"no hero may be called {data.changes['secret_name']}")

    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, logger="worker")
    command = update(hero_id, {"name": handlers.name(quote), "secret_name": SECRET})
    await wire.outcome(command)
    assert "attempt 1 failed" in caplog.text
    assert SECRET not in caplog.text


async def _always_a_bug(_: AsyncSession, __: Any, ___: int) -> Handled:
    raise RuntimeError("a bug")


async def _changed_since(stage: Stage, hero_id: int) -> dict[str, Any]:
    """What `nothing_more` alone may have changed."""
    hero = await stage.hero(hero_id)
    assert hero is not None
    assert hero["version"] == 2
    return {name: hero[name] for name in ("age", "version", "updated_at")}
