"""A worker starts on tables that it can live with, and says what mends a database that it refuses or can't reach."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tests.harness.stage import Stage
from tests.harness.tables import asked, engine_for, told
from worker.errors import ExitCode, SchemaError, SettingsError, UnreachableError
from worker.persistence import schema


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
