"""TLS to a real RabbitMQ: one that shows no right certificate is no broker of ours."""

from urllib.parse import urlsplit

import pytest
from aiormq.exceptions import AMQPConnectionError

from contracts.client import HeroesClient
from tests.harness.refused import AUTHORITY, OTHER_HOST, OTHER_TIME, refused_by_the_broker
from tests.harness.secured import Authority, SecuredRabbitMQ
from worker.errors import ExitCode, SettingsError, UnreachableError
from worker.messaging.connection import connected

pytestmark = pytest.mark.fault


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
