"""A command that fails is tried again in its place, then given up, and never leaves anything half done."""

import asyncio
import gc
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractIncomingMessage
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.envelope import Command
from contracts.heroes import COMMANDS, CreateHeroData, UpdateHeroData
from tests.harness.commands import create, delete, update
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire, document, reason_of
from tests.harness.workers import tidy_worker
from worker import heroes
from worker.entity import Entity
from worker.outcomes import Fact, Handled
from worker.persistence import gate
from worker.persistence.unit_of_work import Handler
from worker.retry import Backoff, RetryPolicy

SECRET = "kept-to-myself"
POLICY = RetryPolicy(refused=Backoff(5, 0.3), bug=Backoff(3, 0.15), away=Backoff(8, 0.1))

Behaviour = Callable[[AsyncSession, Any, int], Awaitable[Handled]]
"""What to do with a command's data at its first, second, … attempt."""


class Handlers:
    """The hero handlers, but a command whose (new) name is in `on` does what stands there."""

    def __init__(self) -> None:
        self.on: dict[str, Behaviour] = {}
        self.attempts: Counter[str] = Counter()

    def entity(self) -> Entity:
        """To run a worker with."""
        handlers: dict[str, Handler] = {
            "hero.create": self._create,
            "hero.update": self._update,
            "hero.delete": heroes.apply_delete,
        }
        return Entity(COMMANDS, handlers, retry=POLICY)

    def name(self, behaviour: Behaviour) -> str:
        """A fresh name that stands for this behaviour."""
        name = f"Hero {uuid4()}"
        self.on[name] = behaviour
        return name

    async def _create(self, session: AsyncSession, data: CreateHeroData) -> Handled:
        if (behaviour := self.on.get(data.name)) is None:
            return await heroes.create(session, data)
        self.attempts[data.name] += 1
        return await behaviour(session, data, self.attempts[data.name])

    async def _update(self, session: AsyncSession, data: UpdateHeroData) -> Handled:
        name = data.changes.get("name", "")
        if (behaviour := self.on.get(name)) is None:
            return await heroes.apply_update(session, data)
        self.attempts[name] += 1
        return await behaviour(session, data, self.attempts[name])


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def handlers(stage: Stage) -> AsyncIterator[Handlers]:
    """One worker for all tests of this module, with handlers that they direct."""
    directed = Handlers()
    async with tidy_worker(stage, directed.entity()):
        yield directed


@pytest_asyncio.fixture(loop_scope="session")
async def hero_id(wire: Wire, handlers: Handlers) -> int:
    """A hero of version 1; made by a command that succeeds, so that given-up ones never come twenty in a row."""
    return int((await wire.outcome(create(name="Ada", age=36)))["data"]["hero"]["id"])


# --- bugs -------------------------------------------------------------------------------------------------------------


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
    assert await _recorded(stage, command) == ("applied", [event])
    await _nothing_more(wire, command, event["data"]["hero"]["id"])


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
    await _nothing_more(wire, command, hero_id)

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
    assert await _recorded(stage, command) == ("dead_lettered", [event])
    await eventually(lambda: stage.is_published(command.id), "the row is marked as published")


async def test_the_twin_of_a_given_up_command_is_only_acknowledged(
    stage: Stage, wire: Wire, handlers: Handlers, hero_id: int
) -> None:
    name = handlers.name(_always_a_bug)
    command = update(hero_id, {"name": name})
    event = await wire.outcome(command)
    await eventually(lambda: stage.is_published(command.id), "the row is marked as published")
    row = await stage.inbox(command.id)
    handlers.on[name] = _as_usual  # it would succeed by now, and must not

    await wire.send(command)
    await wire.send(command)
    await _nothing_more(wire, command, hero_id)

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


_WRONG: dict[str, Any] = {
    "None": None,
    "a string": "hero.created",
    "a number": 42,
    "a list of None": [None],
    "a fact that is no JSON": [Fact("hero.created", "1", {"hero": object()})],
    "a fact of half a character": [Fact("hero.created", "1", {"hero": "\ud800"})],
}


@pytest.mark.parametrize("returned", _WRONG.values(), ids=_WRONG)
async def test_a_handler_that_returns_something_wrong_is_a_bug(
    stage: Stage, wire: Wire, handlers: Handlers, hero_id: int, returned: Any
) -> None:
    async def write_then_return(session: AsyncSession, data: UpdateHeroData, _: int) -> Handled:
        await heroes.apply_update(session, data)
        wrong: Handled = returned
        return wrong

    name = handlers.name(write_then_return)
    command = update(hero_id, {"name": name})
    event = await wire.outcome(command)
    (letter,) = await wire.letters_with(command.to_json())
    assert (reason_of(letter), letter.headers["x-attempts"], handlers.attempts[name]) == ("handler_failed", 3, 3)
    assert event["data"]["reason"] == "handler_failed"
    await _is_untouched(stage, hero_id)


async def test_a_handler_with_nothing_to_tell_is_applied_without_an_event(
    stage: Stage, wire: Wire, handlers: Handlers, hero_id: int
) -> None:
    async def silent(session: AsyncSession, data: UpdateHeroData, _: int) -> Handled:
        await heroes.apply_update(session, data)
        return []

    command = update(hero_id, {"name": handlers.name(silent)})
    await wire.send(command)
    later = await wire.outcome(update(hero_id, {"age": 1}))
    assert later["data"]["hero"]["version"] == 3
    assert await _recorded(stage, command) == ("applied", [])
    assert not [message for message in wire.events if document(message)["causationid"] == command.id]


@pytest.mark.parametrize(
    "value",
    [1e16, -0.0, datetime(2026, 1, 2, tzinfo=UTC), {"b": "\u2028é🦸", "a": [None, True, 0.1, 2**53 + 1]}],
    ids=["a large float", "minus zero", "a datetime", "the rest"],
)
async def test_an_event_of_any_entity_is_the_same_bytes_at_every_publication(
    stage: Stage, wire: Wire, handlers: Handlers, hero_id: int, value: Any
) -> None:
    async def tell(session: AsyncSession, data: UpdateHeroData, _: int) -> Handled:
        return [Fact("hero.updated", str(data.hero_id), {"measured": value})]

    command = update(hero_id, {"name": handlers.name(tell)})
    await wire.outcome(command)
    await eventually(lambda: stage.is_published(command.id), "the row is marked as published")
    await stage.rows("UPDATE inbox SET published_at = NULL WHERE command_id = $1", command.id)
    await wire.send(command)
    first, again = await wire.event_messages_of(command.id, 2)
    assert again.body == first.body


# --- order ------------------------------------------------------------------------------------------------------------


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
    await _in_time(again.wait())

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


# --- what a live server refused ---------------------------------------------------------------------------------------


async def test_a_hero_that_somebody_else_has_locked_is_changed_once_it_is_free(
    stage: Stage, wire: Wire, handlers: Handlers, hero_id: int
) -> None:
    name = handlers.name(_as_usual)
    command = update(hero_id, {"name": name})
    async with _locked(stage, hero_id):
        await wire.send(command)
        await eventually(_reached(handlers, name, 2), "the first attempt ran into its lock_timeout")
        assert not [one for one in map(document, wire.events) if one["causationid"] == command.id]
        assert await stage.inbox(command.id) is None
    event = (await wire.events_of(command.id))[0]
    assert (event["type"], event["data"]["hero"]["version"]) == ("hero.updated", 2)
    await _nothing_more(wire, command, hero_id)
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
    assert await _recorded(stage, command) == ("dead_lettered", [event])
    await _is_untouched(stage, hero_id)


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
        await _in_time(holds.wait())
        pid = peer.get_server_pid()
        waiting = asyncio.create_task(peer.execute("SELECT FROM hero WHERE id = $1 FOR UPDATE", hero_id))
        # Who waits longer than deadlock_timeout (1 s) has looked for a cycle already: the worker will find it.
        looked = "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock'"
        await eventually(
            lambda: stage.rows(f"{looked} AND query_start < clock_timestamp() - interval '1.3 s'", pid), "it waits"
        )
        crossed.set()
        await _in_time(waiting)
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
            await _raise(session, sqlstate)
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
    await _is_untouched(stage, hero_id)


async def test_a_handler_that_swallows_a_failed_statement_leaves_nothing_behind(
    stage: Stage, wire: Wire, handlers: Handlers, hero_id: int
) -> None:
    async def swallow(session: AsyncSession, data: UpdateHeroData, _: int) -> Handled:
        facts = await heroes.apply_update(session, data)
        with pytest.raises(DBAPIError):
            await _raise(session, "23505")
        return facts

    command = update(hero_id, {"name": handlers.name(swallow)})
    event = await wire.outcome(command)
    assert (event["type"], event["data"]["reason"]) == ("hero.command_dead_lettered", "retries_exhausted")
    await _is_untouched(stage, hero_id)


async def test_a_fact_that_no_document_can_hold_is_given_up(
    stage: Stage, wire: Wire, handlers: Handlers, hero_id: int
) -> None:
    async def tell(session: AsyncSession, data: UpdateHeroData, _: int) -> Handled:
        await heroes.apply_update(session, data)
        return [Fact("hero.updated", str(data.hero_id), {"text": "half a pair: \ud83d"})]

    command = update(hero_id, {"name": handlers.name(tell)})
    event = await wire.outcome(command)
    assert (event["type"], event["data"]["reason"]) == ("hero.command_dead_lettered", "handler_failed")
    await _is_untouched(stage, hero_id)


# --- what is away costs nothing ---------------------------------------------------------------------------------------


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
    await _nothing_more(wire, command, hero_id)


_AWAY = ["08006", "28000", "3D000", "53300", "57P01", "57P03", "58030", "XX000", "25006", "42501", "42P01", "42703"]


async def test_a_server_that_is_not_the_one_we_need_costs_no_attempt(
    wire: Wire, handlers: Handlers, hero_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "_LONGEST_PAUSE_SECONDS", 0.5)

    async def fail(session: AsyncSession, data: UpdateHeroData, attempt: int) -> Handled:
        facts = await heroes.apply_update(session, data)
        if attempt <= len(_AWAY):
            await _raise(session, _AWAY[attempt - 1])
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
        await _in_time(holds.wait())
        await wire.outcome(create(name=handlers.name(lose)))
        release.set()
        assert (await wire.events_of(command.id))[0]["type"] == "hero.updated"
        await eventually(is_closed, "the connection from before is closed", within_seconds=5)
    finally:
        gc.enable()


async def _always_a_bug(_: AsyncSession, __: Any, ___: int) -> Handled:
    raise RuntimeError("a bug")


async def _as_usual(session: AsyncSession, data: UpdateHeroData, _: int) -> Handled:
    return await heroes.apply_update(session, data)


async def _raise(session: AsyncSession, sqlstate: str) -> None:
    """A live server's answer with this SQLSTATE."""
    await session.execute(text(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{sqlstate}'; END $$"))


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


async def _recorded(stage: Stage, command: Command) -> tuple[str, list[dict[str, Any]]]:
    row = await stage.inbox(command.id)
    assert row is not None
    return row["outcome"], json.loads(row["events"])


async def _nothing_more(wire: Wire, command: Command, hero_id: int) -> None:
    """Whatever was sent for this hero before is through, and of the command there is one event and at most one letter.

    The later command waits in the hero's lane for everything before it, and letters come in order.
    """
    await wire.outcome(update(hero_id, {"age": 40}))
    barrier = f"barrier {uuid4()}".encode()
    await wire.publish(barrier)
    await wire.letters_with(barrier)
    assert len(await wire.events_of(command.id)) == 1
    assert len([letter for letter in wire.letters if letter.body == command.to_json()]) <= 1


async def _changed_since(stage: Stage, hero_id: int) -> dict[str, Any]:
    """What `_nothing_more` alone may have changed."""
    hero = await stage.hero(hero_id)
    assert hero is not None
    assert hero["version"] == 2
    return {name: hero[name] for name in ("age", "version", "updated_at")}


async def _is_untouched(stage: Stage, hero_id: int) -> None:
    hero = await stage.hero(hero_id)
    assert hero is not None
    assert (hero["name"], hero["age"], hero["version"]) == ("Ada", 36, 1)


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


async def _in_time(wait: Awaitable[Any]) -> None:
    async with asyncio.timeout(15):
        await wait
