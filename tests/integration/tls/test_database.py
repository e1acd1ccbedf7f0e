"""TLS to a real PostgreSQL: one that shows no right certificate is no database of ours."""

import pytest

from tests.harness.refused import AUTHORITY, OTHER_HOST, OTHER_TIME, refused_by_the_database
from tests.harness.secured import Authority, SecuredPostgres
from tests.harness.stage import Stage, eventually
from worker.errors import SettingsError, UnreachableError
from worker.messaging.connection import without_password
from worker.persistence import schema

pytestmark = pytest.mark.fault


async def test_a_database_whose_authority_is_not_ours_is_refused(
    secured: Stage, postgres: SecuredPostgres, stranger: Authority
) -> None:
    for query in (f"&sslrootcert={stranger.file}", ""):
        refused = await refused_by_the_database(postgres.url(f"ssl=verify-full{query}"))
        assert isinstance(refused, SettingsError)
        assert AUTHORITY in str(refused)
        assert "HEROES_DATABASE_URL" in str(refused)
        assert "sslrootcert=" in str(refused)


async def test_a_database_under_another_name_is_refused(
    secured: Stage, postgres: SecuredPostgres, authority: Authority
) -> None:
    url = postgres.url(f"ssl=verify-full&sslrootcert={authority.file}", host="localhost")
    refused = await refused_by_the_database(url)
    assert isinstance(refused, SettingsError)
    assert OTHER_HOST in str(refused)


async def test_a_database_with_an_expired_certificate_is_refused(
    secured: Stage, postgres: SecuredPostgres, authority: Authority
) -> None:
    url = postgres.url(f"ssl=verify-full&sslrootcert={authority.file}")

    async def is_refused() -> bool:
        try:
            async with schema.reached(url, without_password(url), 0.1):
                return False
        except UnreachableError as error:
            return OTHER_TIME in str(error)

    with postgres.expired():
        await eventually(is_refused, "the server has read its new certificate")


async def test_a_database_that_wants_a_certificate_gets_it_from_the_url(
    secured: Stage, postgres: SecuredPostgres, authority: Authority
) -> None:
    without = postgres.url(f"ssl=verify-full&sslrootcert={authority.file}")

    async def is_refused() -> bool:
        try:
            async with schema.reached(without, without_password(without), 0.1):
                return False
        except SettingsError:
            return True

    with postgres.wanting_a_certificate():
        await eventually(is_refused, "the server has read its new rules")
        async with schema.reached(secured.database_url, without_password(secured.database_url), 0.1):
            pass


async def test_a_database_without_tls_is_told_from_one_that_is_away(stage: Stage) -> None:
    url = f"{stage.database_url}?ssl=verify-full"
    assert "does not speak TLS" in str(await refused_by_the_database(url))
