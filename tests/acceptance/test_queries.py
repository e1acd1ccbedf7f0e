"""A query is answered at once, to its asker alone, and never stands behind commands."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import text

from contracts.envelope import Query
from contracts.queries import GetHero, GetHeroData, ListHeroes, ListHeroesData
from tests.harness.commands import SOURCE, create
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Replies, Wire, document
from tests.harness.workers import tidy_worker
from worker.app import Worker
from worker.persistence.database import Database

QUERIES = "heroes.queries"


@pytest_asyncio.fixture(loop_scope="session", scope="module", autouse=True)
async def worker(stage: Stage) -> AsyncIterator[Worker]:
    """At work for the whole module."""
    async with tidy_worker(stage) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def replies(wire: Wire) -> AsyncIterator[Replies]:
    """A queue for answers."""
    async with wire.replies() as queue:
        yield queue


def _get(hero_id: int) -> GetHero:
    return GetHero.new(GetHeroData(hero_id=hero_id), source=SOURCE)


def _list(**data: Any) -> ListHeroes:
    return ListHeroes.new(ListHeroesData(**data), source=SOURCE)


async def _ask(wire: Wire, replies: Replies, query: Query, body: bytes | None = None) -> dict[str, Any]:
    """The answer, which goes with the question by its AMQP correlation id."""
    properties = {"reply_to": replies.name, "correlation_id": query.id}
    await wire.publish(body or query.to_json(), query.type, exchange=QUERIES, **properties)
    message = await replies.next()
    assert message.correlation_id == query.id
    return document(message)


async def test_a_hero_is_told_with_everything_that_is_known_of_it(wire: Wire, replies: Replies) -> None:
    event = await wire.outcome(create(name="Ada", secret_name="Countess", age=36))
    query = _get(event["data"]["hero"]["id"])
    answer = await _ask(wire, replies, query)
    assert (answer["type"], answer["causationid"]) == ("hero.get.reply", query.id)
    assert answer["data"]["hero"] == {**event["data"]["hero"], "secret_name": "Countess"}


async def test_a_page_is_by_id_and_tells_how_many_there_are(wire: Wire, replies: Replies) -> None:
    for number in range(5):
        await wire.outcome(create(name="listed", age=number))
    await wire.outcome(create(name="Listed"))
    answer = await _ask(wire, replies, _list(name="listed", offset=1, limit=2))
    assert (answer["type"], answer["data"]["total"]) == ("hero.list.reply", 5)
    assert [hero["age"] for hero in answer["data"]["heroes"]] == [1, 2]
    beyond = await _ask(wire, replies, _list(name="listed", offset=5))
    assert (beyond["data"]["heroes"], beyond["data"]["total"]) == ([], 5)


async def test_a_hero_that_is_not_there_is_said_not_to_be(wire: Wire, replies: Replies) -> None:
    answer = await _ask(wire, replies, _get(2**62))
    assert (answer["type"], answer["data"]["code"]) == ("hero.query_failed", "hero_not_found")


@pytest.mark.parametrize(
    "body",
    [
        b"no json",
        b"[]",
        json.dumps({"type": "hero.knight", "id": "x"}).encode(),
        _list().to_json().replace(b'"data":{}', b'"data":{"limit":101}'),
        _list().to_json().replace(b'"data":{}', b'"data":{"offset":-1}'),
        _list().to_json().replace(b'"data":{}', b'"data":{"sort":"name"}'),
    ],
)
async def test_a_query_that_is_none_is_told_why(wire: Wire, replies: Replies, body: bytes) -> None:
    answer = await _ask(wire, replies, _list(), body)
    assert (answer["type"], answer["data"]["code"]) == ("hero.query_failed", "invalid_query")
    assert answer["data"]["detail"]
    assert wire.letters == []


@pytest.mark.parametrize("reply_to", [None, "heroes.commands.00", "nowhere", "a|b", "amq.gen-" + "x" * 201])
async def test_where_no_answer_is_wanted_or_possible_nothing_comes_of_it(
    wire: Wire, replies: Replies, reply_to: str | None
) -> None:
    await wire.publish(_list().to_json(), "hero.list", exchange=QUERIES, reply_to=reply_to)
    assert (await _ask(wire, replies, _list(limit=1)))["type"] == "hero.list.reply", "the next one is answered"
    assert await wire.depth("heroes.commands.00") == 0


async def test_queries_do_not_stand_behind_commands_that_wait(stage: Stage, wire: Wire, replies: Replies) -> None:
    event = await wire.outcome(create(name="patient"))
    connection = await asyncpg.connect(stage.database_url.replace("+asyncpg", ""))
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE hero IN EXCLUSIVE MODE")  # readers pass, writers wait
            commands = [create(name=f"waiting {number}") for number in range(100)]
            await asyncio.gather(*(wire.send(command) for command in commands))
            async with asyncio.timeout(2):
                answer = await _ask(wire, replies, _get(event["data"]["hero"]["id"]))
        assert answer["type"] == "hero.get.reply"
    finally:
        await connection.close()
    for command in commands:
        await wire.events_of(command.id)


async def test_an_answer_is_read_in_a_transaction_that_can_not_write(stage: Stage) -> None:
    database = Database.of(stage.database_url, pool_size=1, statement_timeout_seconds=5)
    async with database.reading_sessions() as session:
        assert (await session.execute(text("SHOW transaction_read_only"))).scalar_one() == "on"
    await database.close()


async def test_no_heap_of_slow_queries_holds_up_what_is_written_beside_the_commands(stage: Stage) -> None:
    """Marks would stay behind, other workers would publish what is out already, and a suspect would close the gate."""
    database = Database.of(stage.database_url, pool_size=1, statement_timeout_seconds=5)

    async def slow() -> None:
        async with database.reading_sessions() as session:
            await session.execute(text("SELECT pg_sleep(3)"))

    queries = [asyncio.create_task(slow()) for _ in range(30)]

    async def all_connections_are_taken() -> bool:
        said = await stage.rows("SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(3)' AND state = 'active'")
        return len(said) >= 3

    try:
        await eventually(all_connections_are_taken, "queries are at work")
        async with asyncio.timeout(1), database.side_sessions() as session:
            assert (await session.execute(text("SELECT 1"))).scalar_one() == 1
    finally:
        for query in queries:
            query.cancel()
        await asyncio.gather(*queries, return_exceptions=True)
        await database.close()


async def test_while_the_gate_is_closed_the_answer_says_so_at_once(
    wire: Wire, replies: Replies, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.gate, "_reason", "gone")
    async with asyncio.timeout(2):
        answer = await _ask(wire, replies, _list())
    assert (answer["type"], answer["data"]["code"]) == ("hero.query_failed", "unavailable")
