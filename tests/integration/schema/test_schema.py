"""The migrations bring the tables to this version, whoever runs them, however often and with whatever they hold."""

import asyncio
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.harness.tables import asked, engine_for, told
from worker.errors import RefuseToStartError, SchemaError
from worker.heroes import HERO
from worker.persistence import schema
from worker.persistence.tables import METADATA


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
