"""The inbox on a real PostgreSQL: one claim for each id, also among twins, and a memory that forgets in good order."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from contracts.envelope import Command
from contracts.heroes import CreateHero
from tests.harness.commands import create, delete, update
from tests.harness.stage import Stage, eventually
from worker.outcomes import Fact, Letter, Outcome, OutcomeKind, Reason, Rejection, applied, dead_lettered, rejected
from worker.persistence import inbox
from worker.persistence.database import Database
from worker.persistence.inbox import Claim, IdReused, fingerprint
from worker.persistence.transactions import Driver

TIME = "2026-01-02T03:04:05.000006Z"


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def database(stage: Stage) -> AsyncIterator[Database]:
    one = Database.of(stage.database_url, pool_size=8, statement_timeout_seconds=5)
    yield one
    await one.close()


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def empty(database: Database) -> None:
    async with database.side_sessions.begin() as session:
        await session.execute(text("TRUNCATE inbox"))


def outcome_of(command: Command, name: str = "Ada") -> Outcome:
    return applied(command, [Fact("hero.created", "7", {"hero": {"id": 7, "name": name, "age": None}})], TIME)


async def handle(driver: Driver, command: Command) -> Outcome:
    """Claims and records, as one command does."""
    claim = await inbox.claim(driver, command)
    assert isinstance(claim, Claim)
    outcome = outcome_of(command)
    await inbox.record(driver, outcome)
    return outcome


async def handled(database: Database, *commands: Command) -> list[Outcome]:
    outcomes = []
    for command in commands:
        async with database.transactions.begin() as (driver, _):
            outcomes.append(await handle(driver, command))
    return outcomes


class UndoneError(Exception):
    """Ends a transaction without effect."""


@asynccontextmanager
async def undone(database: Database) -> AsyncIterator[Driver]:
    """A transaction that is rolled back."""
    with suppress(UndoneError):
        async with database.transactions.begin() as (driver, _):
            yield driver
            raise UndoneError


async def look(database: Database, command: Command) -> Claim | Outcome | IdReused:
    """What a later delivery would find, leaving no trace."""
    async with undone(database) as driver:
        return await inbox.claim(driver, command)


async def test_a_new_command_is_claimed_with_the_databases_clock(database: Database) -> None:
    command = create()
    async with database.transactions.begin() as (driver, session):
        before = await session.scalar(text("SELECT clock_timestamp()"))
        claim = await inbox.claim(driver, command)
        after = await session.scalar(text("SELECT clock_timestamp()"))
    assert isinstance(claim, Claim)
    assert claim.command_id == command.id
    assert before < claim.now < after


@pytest.mark.parametrize("kind", ["applied", "rejected", "dead_lettered"])
async def test_an_outcome_stands_for_every_later_delivery(database: Database, kind: str) -> None:
    command = create()
    outcome = {
        "applied": outcome_of(command),
        "rejected": rejected(command, Rejection("hero_not_found", "there is no hero 7", "7"), TIME),
        "dead_lettered": dead_lettered(command, Letter(Reason.HANDLER_FAILED, "KeyError", 3), TIME),
    }[kind]
    async with database.transactions.begin() as (driver, _):
        await inbox.claim(driver, command)
        await inbox.record(driver, outcome)
    found = await look(database, command)
    assert isinstance(found, Outcome)
    assert (found.command_id, found.kind, found.published, found.recorded) == (command.id, kind, False, True)
    assert [event.body for event in found.events] == [event.body for event in outcome.events]
    assert bool(found.letter) == (kind == "dead_lettered")


@pytest.mark.parametrize(
    "value", ["\\u0000 in words", "é\u2028🐎\x7f", 2**63 - 1, -(2**63), {"b": 1, "a": [None, True]}]
)
async def test_events_come_out_of_the_database_byte_for_byte(database: Database, value: Any) -> None:
    command = create()
    outcome = applied(command, [Fact("hero.created", None, {"value": value, "zz": 1, "a": 2})], TIME)
    async with database.transactions.begin() as (driver, _):
        await inbox.claim(driver, command)
        await inbox.record(driver, outcome)
    found = await look(database, command)
    assert isinstance(found, Outcome)
    assert [event.body for event in found.events] == [event.body for event in outcome.events]


async def test_a_rollback_frees_the_claim(database: Database) -> None:
    command = create()
    async with undone(database) as driver:
        await handle(driver, command)
    assert isinstance(await look(database, command), Claim)


@pytest.mark.parametrize("ended", ["COMMIT", "ROLLBACK"])
async def test_nothing_is_recorded_where_the_transaction_was_ended(database: Database, ended: str) -> None:
    """By a handler, in SQL: its outcome must not be announced as if it were true."""
    command = create()
    with pytest.raises(RuntimeError, match="ended its transaction"):
        await _end_and_record(database, command, ended)
    assert all(row["outcome"] is None for row in await _rows(database))


async def _end_and_record(database: Database, command: Command, ended: str) -> None:
    async with database.transactions.begin() as (driver, session):
        await inbox.claim(driver, command)
        await session.execute(text(ended))
        await inbox.record(driver, outcome_of(command))


async def _rows(database: Database) -> list[Any]:
    async with database.side_sessions() as session:
        return list((await session.execute(text("SELECT outcome FROM inbox"))).mappings())


async def test_a_twin_waits_and_then_sees_the_outcome(database: Database, stage: Stage) -> None:
    command = create()
    async with database.transactions.begin() as (driver, _):
        outcome = await handle(driver, command)
        twin = asyncio.create_task(look(database, command))
        await eventually(lambda: _somebody_waits(stage), "the twin waits for a lock")
        assert not twin.done()
    found = await twin
    assert isinstance(found, Outcome)
    assert found.events[0].body == outcome.events[0].body


async def test_a_twin_claims_when_the_first_one_fails(database: Database, stage: Stage) -> None:
    command = create()
    async with undone(database) as driver:
        await handle(driver, command)
        twin = asyncio.create_task(look(database, command))
        await eventually(lambda: _somebody_waits(stage), "the twin waits for a lock")
    assert isinstance(await twin, Claim)


async def _somebody_waits(stage: Stage) -> bool:
    question = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(await stage.rows(question))


async def test_of_many_twins_exactly_one_claims(database: Database) -> None:
    command = create()

    async def run() -> bool:
        async with database.transactions.begin() as (driver, _):
            claim = await inbox.claim(driver, command)
            if isinstance(claim, Claim):
                await inbox.record(driver, outcome_of(command))
            return isinstance(claim, Claim)

    assert sum(await asyncio.gather(*(run() for _ in range(8)))) == 1


async def test_different_commands_do_not_wait_for_each_other(database: Database) -> None:
    async with database.transactions.begin() as (driver, _):
        await handle(driver, create())
        async with asyncio.timeout(1):
            assert isinstance(await look(database, create()), Claim)


@pytest.mark.parametrize(
    "other",
    [
        lambda first: create(name="Somebody else", id=first.id),
        lambda first: create(name="Ada", secret_name="another", id=first.id),
        lambda first: create(name="Ada", age=1, id=first.id),
        lambda first: delete(7, id=first.id),
        lambda first: update(7, {"name": "Ada"}, id=first.id),
    ],
)
async def test_an_id_with_other_content_is_reused(database: Database, other: Any) -> None:
    first = create(name="Ada")
    await handled(database, first)
    assert isinstance(await look(database, other(first)), IdReused)


async def test_a_resend_with_another_envelope_is_the_same_command(database: Database) -> None:
    """The author may have sent it at another time and in another conversation."""
    first = create(name="Ada")
    await handled(database, first)
    later: dict[str, Any] = {
        "time": "2030-01-01T00:00:00Z",
        "correlationid": "other",
        "expirytime": "2031-01-01T00:00:00Z",
    }
    assert isinstance(await look(database, create(name="Ada", id=first.id, **later)), Outcome)


def test_a_fingerprint_is_of_the_content_and_not_of_its_spelling() -> None:
    command = create(name="Žofie", secret_name="s", age=3)
    document = json.loads(command.to_json())
    turned = {name: document[name] for name in reversed(document)}
    turned["data"] = {name: document["data"][name] for name in reversed(document["data"])}
    for text_of_it in (json.dumps(turned), json.dumps(turned, indent=2), json.dumps(turned, ensure_ascii=False)):
        assert fingerprint(CreateHero.model_validate_json(text_of_it)) == fingerprint(command)


def test_fingerprints_tell_contents_apart() -> None:
    """Also an absent field from a null one: they are different orders."""
    absent = json.loads(create(name="a", secret_name="b", age=None).to_json())
    del absent["data"]["age"]
    different = [
        create(name="a", secret_name="b", age=None),
        CreateHero.model_validate_json(json.dumps(absent)),
        create(name="b", secret_name="a"),
        create(name="a", secret_name="b", age=0),
        update(1, {"name": "a"}),
        update(1, {"name": "a", "age": None}),
        update(1, {"name": "a"}, expected_version=1),
        update(2, {"name": "a"}),
        delete(1),
        delete(2),
        delete(1, expected_version=1),
    ]
    assert len({fingerprint(command) for command in different}) == len(different)
    assert {len(fingerprint(command)) for command in different} == {32}


def test_a_fingerprint_never_changes_between_releases() -> None:
    """A worker of tomorrow must know what one of today has handled."""
    command = update(42, {"name": "Ada", "age": None}, expected_version=3)
    written = b'{"changes":{"age":null,"name":"Ada"},"expected_version":3,"hero_id":42}'
    assert fingerprint(command) == sha256(b"1\0hero.update\0" + written).digest()
    assert fingerprint(command).hex() == "204d6415a80c4464b12ad8f4efe52d0ce575495e01fb79b9b4b8d74b1302f084"


async def age(database: Database, command: Command, **parts: int) -> None:
    async with database.side_sessions.begin() as session:
        interval = " ".join(f"{number} {unit}" for unit, number in parts.items())
        question = f"UPDATE inbox SET handled_at = now() - interval '{interval}' WHERE command_id = '{command.id}'"  # noqa: S608 - our own values
        await session.execute(text(question))


async def mark(database: Database, *commands: Command) -> None:
    async with database.transactions.begin() as (driver, session):
        outcomes = [await inbox.claim(driver, command) for command in commands]
        await inbox.mark_published(
            session, {one.command_id: one.mark for one in outcomes if isinstance(one, Outcome) and one.command_id}
        )


async def test_what_is_marked_owes_nothing(database: Database) -> None:
    one, other = create(), create()
    await handled(database, one, other)
    await mark(database, one)
    found, owing = await look(database, one), await look(database, other)
    assert isinstance(found, Outcome)
    assert isinstance(owing, Outcome)
    assert (found.published, owing.published) == (True, False)


async def test_a_mark_of_an_earlier_outcome_says_nothing_of_a_new_one(database: Database, stage: Stage) -> None:
    """A dead letter that is replayed gets a new row; a worker that was cut off may still hold the mark of the old."""
    command = create()
    await handled(database, command)
    async with database.side_sessions.begin() as session:
        await inbox.mark_published(session, {command.id: "the first event of the outcome before"})
    assert not await stage.is_published(command.id)


async def test_a_mark_stays_as_it_was_first(database: Database, stage: Stage) -> None:
    command = create()
    await handled(database, command)
    await mark(database, command)
    first = await stage.inbox(command.id)
    await mark(database, command)
    assert await stage.inbox(command.id) == first
    await mark(database)  # an empty group is no mistake


async def test_the_unpublished_come_oldest_first_and_only_those_that_waited(database: Database) -> None:
    commands = [create() for _ in range(5)]
    await handled(database, *commands)
    oldest, middle, young, marked, letter = commands
    await age(database, oldest, hours=3)
    await age(database, middle, hours=2)
    await age(database, marked, hours=4)
    await age(database, letter, hours=5)
    await mark(database, marked)
    async with database.transactions.begin() as (driver, _):
        await inbox.record(driver, dead_lettered(letter, Letter("r", "d"), TIME))
    async with database.side_sessions() as session:
        owed = await inbox.unpublished(session, older_than_seconds=3600, at_most=10)
        first = await inbox.unpublished(session, older_than_seconds=3600, at_most=1)
        young_too = await inbox.unpublished(session, older_than_seconds=-1, at_most=10)
    assert [outcome.command_id for outcome in owed] == [oldest.id, middle.id]
    assert [outcome.command_id for outcome in first] == [oldest.id]
    assert [outcome.command_id for outcome in young_too] == [oldest.id, middle.id, young.id]
    assert all(outcome.kind is OutcomeKind.APPLIED and outcome.events and not outcome.published for outcome in owed)


async def prune(database: Database, at_most: int = 100) -> int:
    async with database.side_sessions.begin() as session:
        return await inbox.prune(session, older_than_days=7, at_most=at_most)


async def remaining(stage: Stage) -> set[str]:
    return {str(row["command_id"]) for row in await stage.rows("SELECT command_id FROM inbox")}


async def test_pruning_forgets_what_is_old_and_out_and_nothing_else(database: Database, stage: Stage) -> None:
    old, young, owing = create(), create(), create()
    await handled(database, old, young, owing)
    await mark(database, old, young)
    await age(database, old, days=7, minutes=1)
    await age(database, young, days=6, hours=23)
    await age(database, owing, days=400)
    assert await prune(database) == 1
    assert await remaining(stage) == {young.id, owing.id}


async def test_pruning_goes_in_small_steps(database: Database, stage: Stage) -> None:
    commands = [create() for _ in range(5)]
    await handled(database, *commands)
    await mark(database, *commands)
    for command in commands:
        await age(database, command, days=8)
    assert [await prune(database, 2) for _ in range(4)] == [2, 2, 1, 0]
    assert await remaining(stage) == set()


async def test_pruning_passes_by_what_somebody_else_holds(database: Database, stage: Stage) -> None:
    held, free = create(), create()
    await handled(database, held, free)
    await mark(database, held, free)
    for command in (held, free):
        await age(database, command, days=8)
    async with database.side_sessions.begin() as holder:
        await holder.execute(text("SELECT 1 FROM inbox WHERE command_id = :id FOR UPDATE"), {"id": held.id})
        async with asyncio.timeout(1):
            assert await prune(database) == 1
    assert await remaining(stage) == {held.id}


async def test_two_that_prune_at_once_share_the_work(database: Database, stage: Stage) -> None:
    commands = [create() for _ in range(20)]
    await handled(database, *commands)
    await mark(database, *commands)
    for command in commands:
        await age(database, command, days=8)
    assert sum(await asyncio.gather(*(prune(database, 20) for _ in range(4)))) == 20
    assert await remaining(stage) == set()


async def test_a_forgotten_command_is_new_again(database: Database) -> None:
    """The promise holds as long as the row is kept, and no longer."""
    command = create()
    await handled(database, command)
    await mark(database, command)
    await age(database, command, days=8)
    await prune(database)
    assert isinstance(await look(database, command), Claim)


async def test_the_questions_about_the_unpublished_use_their_index(database: Database) -> None:
    """A table of a week must not be read in full twice a minute."""
    await handled(database, create())
    async with database.side_sessions() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        question = (
            "EXPLAIN SELECT command_id FROM inbox WHERE published_at IS NULL AND outcome != 'dead_lettered'"
            " AND handled_at < now() ORDER BY handled_at LIMIT 100"
        )
        plan = "\n".join((await session.execute(text(question))).scalars())
    assert "ix_inbox_unpublished" in plan
    assert "Sort" not in plan
