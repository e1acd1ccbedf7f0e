"""`heroes check` tells what is wrong with the database: rights, tables, settings that break the promise, and clocks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote, urlsplit

import pytest

from tests.harness.press import DONE, UNPREPARED, UNREACHABLE, Press
from tests.harness.stage import Stage
from tests.harness.users import PASSWORD


@asynccontextmanager
async def role_with(stage: Stage, *grants: str) -> AsyncIterator[str]:
    """The URL of the database for a role that has just these rights."""
    address = urlsplit(stage.database_url)
    name = f"{address.path[1:]}_checked"
    await stage.run(
        f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'; " + "; ".join(f"{one} TO {name}" for one in grants)
    )
    try:
        yield address._replace(netloc=f"{quote(name)}:{PASSWORD}@{address.hostname}:{address.port}").geturl()
    finally:
        await stage.run(f"DROP OWNED BY {name}; DROP ROLE {name}")


async def test_each_right_that_a_role_lacks_is_named(press: Press, stage: Stage) -> None:
    every = "GRANT SELECT, INSERT, UPDATE, DELETE ON hero, suspect, alembic_version"
    async with role_with(stage, every, "GRANT SELECT, UPDATE ON inbox") as url:
        said = await press.run(stage.environment(HEROES_DATABASE_URL=url), "check")
    said.ends(UNPREPARED, "✗ rights: this role may not INSERT, DELETE on table inbox", "docs/security.md")
    assert said.output.count("✗") == 1
    async with role_with(stage, every, "GRANT SELECT, INSERT, UPDATE, DELETE ON inbox") as url:
        (await press.run(stage.environment(HEROES_DATABASE_URL=url), "check")).ends(DONE)


async def test_an_older_schema_is_told(press: Press, stage: Stage) -> None:
    (before,) = await stage.rows("SELECT version_num FROM alembic_version")
    await stage.run("UPDATE alembic_version SET version_num = '0000'")
    try:
        (await press.run(stage.environment(), "check")).ends(
            UNPREPARED, "✗ tables: the tables are at revision 0000, this worker needs ", "→ run heroes setup"
        )
    finally:
        await stage.rows("UPDATE alembic_version SET version_num = $1", before["version_num"])


@pytest.mark.parametrize(
    ("setting", "code", "told"),
    [
        ("default_transaction_read_only = on", UNREACHABLE, "✗ database: it takes no writes"),
        pytest.param(
            "synchronous_commit = off", UNPREPARED, "✗ database: synchronous_commit is off", marks=pytest.mark.fault
        ),
    ],
)
async def test_a_database_that_breaks_the_promise_is_told(
    press: Press, stage: Stage, setting: str, code: int, told: str
) -> None:
    name = urlsplit(stage.database_url).path[1:]
    await stage.run(f'ALTER DATABASE "{name}" SET {setting}')
    try:
        (await press.run(stage.environment(), "check")).ends(code, told)
    finally:
        reset = f'ALTER DATABASE "{name}" RESET {setting.split(maxsplit=1)[0]}'
        await stage.run(f"SET transaction_read_only = off; {reset}")


@pytest.mark.parametrize(
    ("seconds", "code", "told"),
    [
        pytest.param(4, DONE, "✓ clock", marks=pytest.mark.fault),
        (-30, DONE, "! clock: the database's clock is 30 s ahead of this machine's"),
        (90, UNPREPARED, "✗ clock: the database's clock is 90 s behind this machine's"),
    ],
)
async def test_clocks_that_are_apart_are_told(press: Press, stage: Stage, seconds: int, code: int, told: str) -> None:
    """This machine's clock is put wrong for the program alone."""
    wrong = f"import time; right = time.time; time.time = lambda: right() + {seconds}"
    (await press.run(stage.environment(), "check", before=wrong)).ends(code, told)
