"""TLS to a real RabbitMQ and a real PostgreSQL: who shows no right certificate is no service of ours."""

from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from aiormq.exceptions import AMQPConnectionError

from contracts.client import HeroesClient
from tests.harness.program import heroes
from tests.harness.secured import (
    Authority,
    SecuredPostgres,
    SecuredRabbitMQ,
    secured_postgres,
    secured_rabbitmq,
)
from tests.harness.stage import Stage, eventually
from worker.app import running_worker
from worker.errors import ExitCode, RefuseToStartError, SettingsError, UnreachableError
from worker.messaging.connection import connected, without_password
from worker.operations import prepare
from worker.persistence import schema

pytestmark = pytest.mark.fault

AUTHORITY = "signed by nobody who is trusted here"
OTHER_HOST = "is for another host: name the host as the certificate does"
OTHER_TIME = "has expired or is not valid yet: renew it there"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs just as well, but we were never told to trust it."""
    return Authority(tmp_path_factory.mktemp("theirs"))


@pytest.fixture(scope="module")
def rabbitmq(authority: Authority) -> Iterator[SecuredRabbitMQ]:
    with secured_rabbitmq(authority) as running:
        yield running


@pytest.fixture(scope="module")
def postgres(authority: Authority) -> Iterator[SecuredPostgres]:
    with secured_postgres(authority) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def secured(rabbitmq: SecuredRabbitMQ, postgres: SecuredPostgres, authority: Authority) -> Stage:
    """Both services by TLS, with client certificates, prepared."""
    ours = f"cafile={authority.file}&certfile={authority.client}"
    stage = Stage(
        rabbitmq.url(ours),
        postgres.url(f"ssl=verify-full&sslrootcert={authority.file}&sslcert={authority.client}"),
    )
    await prepare.prepare_broker(stage.settings())
    await prepare.prepare_database(stage.settings())
    return stage


@pytest_asyncio.fixture(loop_scope="session")
async def plain(postgres: SecuredPostgres) -> AsyncIterator[Stage]:
    """The database without TLS, to ask what the others did."""
    yield Stage("", postgres.server.url)


async def refused_by_the_broker(url: str) -> RefuseToStartError:
    with pytest.raises(RefuseToStartError) as refused:
        async with connected(url, within_seconds=0):
            pass
    assert (urlsplit(url).password or "-") not in str(refused.value)
    return refused.value


async def refused_by_the_database(url: str) -> RefuseToStartError:
    with pytest.raises(RefuseToStartError) as refused:
        async with schema.reached(url, without_password(url), 0.1):
            pass
    assert (urlsplit(url).password or "-") not in str(refused.value)
    return refused.value


async def test_a_command_goes_all_its_way_in_tls(
    secured: Stage, plain: Stage, rabbitmq: SecuredRabbitMQ, authority: Authority
) -> None:
    async with (
        running_worker(secured.settings(shutdown_timeout_seconds=5)),
        HeroesClient(rabbitmq.url(f"cafile={authority.file}"), timeout_seconds=20) as client,
    ):
        created = await client.create(name="Ada", secret_name="Countess")
        assert (await client.get(created.data.hero.id)).name == "Ada"
        protocols = rabbitmq.broker.control("list_connections", "-q", "ssl").split()
        assert protocols[1:] == ["true"] * 3, "two connections of the worker, one of the client"
        ways = await plain.rows(
            "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'heroes-worker'"
        )
        assert ways
        assert all(way["ssl"] for way in ways)


async def test_a_broker_whose_authority_is_not_ours_is_refused(rabbitmq: SecuredRabbitMQ, stranger: Authority) -> None:
    for query in (f"cafile={stranger.file}", ""):  # without a file: whom this system trusts
        refused = await refused_by_the_broker(rabbitmq.url(query))
        assert isinstance(refused, SettingsError)
        assert AUTHORITY in str(refused)
        assert "HEROES_RABBITMQ_URL" in str(refused)
        assert "cafile=" in str(refused)


async def test_a_broker_under_another_name_is_refused(rabbitmq: SecuredRabbitMQ, authority: Authority) -> None:
    refused = await refused_by_the_broker(rabbitmq.url(f"cafile={authority.file}", host="localhost"))
    assert isinstance(refused, SettingsError)
    assert OTHER_HOST in str(refused)


async def test_a_broker_with_an_expired_certificate_is_refused(rabbitmq: SecuredRabbitMQ, authority: Authority) -> None:
    with rabbitmq.expired():
        refused = await refused_by_the_broker(rabbitmq.url(f"cafile={authority.file}"))
    assert isinstance(refused, UnreachableError)
    assert OTHER_TIME in str(refused)
    async with connected(rabbitmq.url(f"cafile={authority.file}"), within_seconds=10):
        pass  # renewed, it is let in again: nothing else was wrong


async def test_a_broker_does_not_take_a_certificate_of_a_stranger(
    rabbitmq: SecuredRabbitMQ, authority: Authority, stranger: Authority
) -> None:
    query = f"cafile={authority.file}&certfile={stranger.client}"
    assert (await refused_by_the_broker(rabbitmq.url(query))).exit_code in {ExitCode.USAGE, ExitCode.UNREACHABLE}


async def test_tls_at_a_port_without_it_is_told_from_a_broker_that_is_away(
    rabbitmq: SecuredRabbitMQ, authority: Authority
) -> None:
    plain_port = urlsplit(rabbitmq.broker.url).port
    url = rabbitmq.url(f"cafile={authority.file}").replace(f":{rabbitmq.port}/", f":{plain_port}/")
    assert "does not speak TLS at this port" in str(await refused_by_the_broker(url))


async def test_no_tls_at_a_port_that_wants_it_gets_a_hint(rabbitmq: SecuredRabbitMQ) -> None:
    url = rabbitmq.url("").replace("amqps://", "amqp://")
    assert "(If it speaks TLS: amqps.)" in str(await refused_by_the_broker(url))


async def test_a_client_trusts_no_stranger_either(rabbitmq: SecuredRabbitMQ, stranger: Authority) -> None:
    with pytest.raises(AMQPConnectionError, match="certificate verify failed") as refused:
        await HeroesClient(rabbitmq.url(f"cafile={stranger.file}")).__aenter__()
    assert (urlsplit(rabbitmq.broker.url).password or "-") not in str(refused.value)


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


@pytest.mark.parametrize(
    ("command", "code"), [(("worker",), 2), (("check",), 2), (("send", "delete", "1"), 2)], ids=str
)
async def test_the_program_ends_with_a_sentence_and_no_password(
    secured: Stage, rabbitmq: SecuredRabbitMQ, stranger: Authority, command: tuple[str, ...], code: int
) -> None:
    environment = secured.environment(HEROES_RABBITMQ_URL=rabbitmq.url(f"cafile={stranger.file}"))
    async with heroes(environment, *command) as program:
        assert await program.ended() == code, program.output
    assert AUTHORITY in program.output
    assert "Traceback" not in program.output
