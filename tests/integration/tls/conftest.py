"""A RabbitMQ and a PostgreSQL that speak TLS, once for all files here, and who signs for them."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.harness.secured import Authority, SecuredPostgres, SecuredRabbitMQ, secured_postgres, secured_rabbitmq
from tests.harness.stage import Stage
from worker.operations import prepare


@pytest.fixture(scope="package")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="package")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs just as well, but we were never told to trust it."""
    return Authority(tmp_path_factory.mktemp("theirs"))


@pytest.fixture(scope="package")
def rabbitmq(authority: Authority) -> Iterator[SecuredRabbitMQ]:
    with secured_rabbitmq(authority) as running:
        yield running


@pytest.fixture(scope="package")
def postgres(authority: Authority) -> Iterator[SecuredPostgres]:
    with secured_postgres(authority) as running:
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="session")
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
