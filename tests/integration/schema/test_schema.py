"""The migrations bring the tables to this version, whoever runs them and however often; a worker knows its own."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from tests.harness.stage import Stage
from worker.errors import ExitCode, RefuseToStartError, SchemaError, SettingsError, UnreachableError
from worker.heroes import HERO
from worker.local import Services
from worker.persistence import schema
from worker.persistence.tables import METADATA


@pytest.fixture
def fresh(services: Services) -> Iterator[str]:
    """A database with nothing in it."""
    with services.database("schema") as url:
        yield url


@pytest_asyncio.fixture(loop_scope="session")
async def engine(fresh: str) -> AsyncIterator[AsyncEngine]:
    async with engine_for(fresh) as one:
        yield one


@asynccontextmanager
async def engine_for(url: str) -> AsyncIterator[AsyncEngine]:
    one = create_async_engine(url, poolclass=NullPool)
    try:
        yield one
    finally:
        await one.dispose()


async def asked(engine: AsyncEngine, question: str) -> Any:
    async with engine.begin() as connection:
        return (await connection.execute(text(question))).scalar()


async def told(engine: AsyncEngine, statement: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(statement))


async def tables_of(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def test_up_down_and_up_again_leave_the_same_tables(engine: AsyncEngine) -> None:
    await schema.migrate(engine)
    first = await tables_of(engine)
    assert {"hero", "inbox"} <= first
    await schema.migrate(engine, "base")
    assert await tables_of(engine) == {"alembic_version"}
    with pytest.raises(SchemaError):
        await schema.verify(engine)
    await schema.migrate(engine)
    assert await tables_of(engine) == first
    await schema.verify(engine)


async def test_the_migrations_make_exactly_what_the_models_say(engine: AsyncEngine) -> None:
    await schema.migrate(engine)

    def difference(connection: Connection) -> list[Any]:
        options = {"compare_type": True, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), METADATA))

    async with engine.connect() as connection:
        assert await connection.run_sync(difference) == []
    assert HERO in METADATA.sorted_tables


async def test_the_comparison_with_the_models_sees_a_difference(engine: AsyncEngine) -> None:
    """The positive control for the test above."""
    await schema.migrate(engine)
    await told(engine, "ALTER TABLE hero ALTER COLUMN version SET DEFAULT 2, ALTER COLUMN name DROP NOT NULL")
    await told(engine, "DROP INDEX ix_inbox_unpublished")

    def difference(connection: Connection) -> list[Any]:
        options = {"compare_type": True, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), METADATA))

    async with engine.connect() as connection:
        found = str(await connection.run_sync(difference))
    assert "modify_default" in found
    assert "modify_nullable" in found
    assert "ix_inbox_unpublished" in found


async def test_indexes_are_what_comparison_does_not_see(engine: AsyncEngine) -> None:
    """Partial and block-range: without them sweeping and pruning read the whole table."""
    await schema.migrate(engine)
    question = "SELECT string_agg(indexdef, E'\\n' ORDER BY indexname) FROM pg_indexes WHERE tablename = 'inbox'"
    indexes = await asked(engine, question)
    assert "WHERE (published_at IS NULL)" in indexes
    assert "USING brin (handled_at) WITH (pages_per_range='32')" in indexes


async def test_migrating_twice_changes_nothing(engine: AsyncEngine) -> None:
    await schema.migrate(engine)
    await told(engine, "INSERT INTO hero (name, secret_name) VALUES ('kept', 's')")
    await schema.migrate(engine)
    assert await asked(engine, "SELECT name FROM hero") == "kept"


async def test_many_that_migrate_at_once_do_it_one_after_the_other(fresh: str, engine: AsyncEngine) -> None:
    async def migrate() -> None:
        async with engine_for(fresh) as own:
            await schema.migrate(own)

    await asyncio.gather(*(migrate() for _ in range(5)))
    await schema.verify(engine)
    assert await asked(engine, "SELECT count(*) FROM alembic_version") == 1


async def test_a_database_of_the_first_days_is_brought_there_with_what_it_holds(engine: AsyncEngine) -> None:
    """Then 0001 made the inbox, too."""
    await schema.migrate(engine)
    await told(engine, "DROP TABLE suspect")
    await told(engine, "UPDATE alembic_version SET version_num = '0001'")
    kept = "INSERT INTO inbox (command_id, command_type, fingerprint) VALUES (gen_random_uuid(), 'x', '')"
    await told(engine, kept)
    await schema.migrate(engine)
    await schema.verify(engine)
    assert await asked(engine, "SELECT count(*) FROM inbox") == 1
    assert "suspect" in await tables_of(engine)


async def test_a_migration_that_fails_leaves_nothing_behind(engine: AsyncEngine) -> None:
    """All of it is one transaction."""
    await told(engine, "CREATE TABLE inbox (in_the_way integer)")
    with pytest.raises(Exception, match="inbox"):
        await schema.migrate(engine)
    assert await tables_of(engine) == {"inbox"}


async def test_a_database_without_tables_is_refused_with_what_mends_it(engine: AsyncEngine) -> None:
    with pytest.raises(SchemaError, match="no tables of ours yet: run heroes setup") as refused:
        await schema.verify(engine)
    assert refused.value.exit_code is ExitCode.UNPREPARED


async def test_a_database_that_goes_away_meanwhile_is_not_blamed_on_rights(fresh: str, engine: AsyncEngine) -> None:
    """The first question on a connection that the server has cut."""
    pooled = create_async_engine(fresh)
    async with pooled.connect() as connection:
        pid = await connection.scalar(text("SELECT pg_backend_pid()"))
    assert await asked(engine, f"SELECT pg_terminate_backend({pid}, 5000)")
    with pytest.raises(UnreachableError, match="went away"):
        await schema.verify(pooled)
    await pooled.dispose()


async def test_older_tables_are_refused_with_what_mends_them(engine: AsyncEngine) -> None:
    await schema.migrate(engine)
    head = await asked(engine, "SELECT version_num FROM alembic_version")
    await told(engine, "UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(SchemaError, match=f"at revision 0000, this worker needs {head}: run heroes setup"):
        await schema.verify(engine)


async def test_newer_tables_are_fine_so_that_a_deploy_can_roll(engine: AsyncEngine) -> None:
    await schema.migrate(engine)
    await told(engine, "UPDATE alembic_version SET version_num = '9999'")
    await schema.verify(engine)


async def test_newer_tables_that_say_so_are_refused_by_an_old_worker(engine: AsyncEngine) -> None:
    await schema.migrate(engine)
    await told(engine, "UPDATE alembic_version SET version_num = '9999'")
    await told(engine, "COMMENT ON TABLE alembic_version IS '9998'")
    with pytest.raises(SchemaError, match=r"need a worker of revision 9998, this one knows .*: run a newer worker"):
        await schema.verify(engine)


async def test_newer_tables_that_an_old_worker_can_live_with_are_fine(engine: AsyncEngine) -> None:
    await schema.migrate(engine)
    head = await asked(engine, "SELECT version_num FROM alembic_version")
    await told(engine, "UPDATE alembic_version SET version_num = '9999'")
    await told(engine, f"COMMENT ON TABLE alembic_version IS '{head}'")
    await schema.verify(engine)


async def test_an_old_setup_leaves_newer_tables_alone_or_says_one_sentence(engine: AsyncEngine) -> None:
    """Whoever starts the old image again during a deploy runs its setup, too."""
    await schema.migrate(engine)
    await told(engine, "UPDATE alembic_version SET version_num = '9999'")
    try:
        await schema.migrate(engine)
    except RefuseToStartError as refused:
        assert "9999" in str(refused)  # noqa: PT017 - it may as well not raise at all
    assert await asked(engine, "SELECT version_num FROM alembic_version") == "9999"


async def test_the_inbox_is_vacuumed_by_numbers_and_not_by_share(engine: AsyncEngine) -> None:
    """It is inserted and pruned all day: a share of a large table would come too late."""
    await schema.migrate(engine)
    options = set(await asked(engine, "SELECT reloptions FROM pg_class WHERE oid = 'inbox'::regclass"))
    assert {
        "autovacuum_vacuum_scale_factor=0",
        "autovacuum_vacuum_insert_scale_factor=0",
        "autovacuum_analyze_scale_factor=0",
    } <= options
    numbers = {name: int(number) for name, _, number in (option.partition("=") for option in options)}
    for name in ("vacuum", "vacuum_insert", "analyze"):
        assert numbers[f"autovacuum_{name}_threshold"] > 0


async def test_a_database_that_answers_is_reached(engine: AsyncEngine) -> None:
    await schema.wait_until_reachable(engine, "shown", 5)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("://", "://nobody-", "shown refuses this user and password"),
        ("@", "x@", "shown refuses this user and password"),
        ("/schema_", "/no_such_", "shown has no such database"),
    ],
)
async def test_a_database_that_refuses_is_told_at_once(fresh: str, old: str, new: str, sentence: str) -> None:
    """Waiting would not help, so nobody waits."""
    async with engine_for(fresh.replace(old, new, 1)) as wrong, asyncio.timeout(5):
        with pytest.raises(SettingsError, match=sentence):
            await schema.wait_until_reachable(wrong, "shown", 60)


async def test_a_database_that_does_not_answer_is_given_up_in_time() -> None:
    url = "postgresql+asyncpg://u:Zx9Qk7@127.0.0.1:1/d"
    async with engine_for(url) as nobody, asyncio.timeout(5):
        with pytest.raises(UnreachableError, match=r"shown did not answer within 0\.1 s") as refused:
            await schema.wait_until_reachable(nobody, "shown", 0.1)
    assert "Zx9Qk7" not in str(refused.value)


async def test_a_worker_with_its_tables_needs_no_setup_again(stage: Stage) -> None:
    """What the harness prepares is what a worker accepts."""
    async with engine_for(stage.database_url) as engine:
        await schema.verify(engine)
