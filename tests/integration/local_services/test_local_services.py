"""Local services are brought, used and taken away for real: private servers always, containers where Docker answers."""

import contextlib
import importlib

import aio_pika
import asyncpg
import pytest
from testcontainers.core.labels import LABEL_SESSION_ID, SESSION_ID

from worker.local import PrivatePostgres, PrivateRabbitMQ, Services, local_services
from worker.local.probes import database_answers, plain_dsn


async def test_a_published_message_arrives_and_a_query_is_answered(services: Services) -> None:
    """The plainest use of both."""
    async with await aio_pika.connect(services.rabbitmq_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("hello", durable=True)
        await channel.default_exchange.publish(aio_pika.Message(b"world"), "hello")
        message = await queue.get(timeout=5)
        await message.ack()
    assert message.body == b"world"
    assert await _fetch(services.database_url, "SELECT 41 + 1") == 42


async def test_the_database_keeps_its_durability_and_takes_many_connections(services: Services) -> None:
    """A measurement or a crash test on a private server means something."""
    assert await _fetch(services.database_url, "SHOW fsync") == "on"
    assert await _fetch(services.database_url, "SHOW synchronous_commit") == "on"
    assert int(str(await _fetch(services.database_url, "SHOW max_connections"))) >= 100


async def test_a_fresh_virtual_host_and_database_come_and_go(services: Services) -> None:
    """Also while somebody is still connected, and from inside a running event loop."""
    with services.virtual_host("corner") as amqp_url, services.database("corner") as database_url:
        connection = await aio_pika.connect(amqp_url)
        await (await connection.channel()).declare_queue("q", durable=True)
        session = await asyncpg.connect(plain_dsn(database_url))
    with contextlib.suppress(asyncpg.PostgresError, OSError):
        await session.close(timeout=1)
    await connection.close()
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await _fetch(database_url, "SELECT 1")
    with pytest.raises(aio_pika.exceptions.AMQPError):
        await aio_pika.connect(amqp_url)


def test_a_description_shows_no_password(services: Services) -> None:
    """Neither in the line for people nor in a failed assertion."""
    for url in (services.rabbitmq_url, services.database_url, services.management_url):
        password = url.split(":")[2].split("@")[0]
        assert password not in services.describe() + repr(services)
    assert "127.0.0.1" in services.describe()


def test_private_servers_listen_on_loopback_only(broker: PrivateRabbitMQ, store: PrivatePostgres) -> None:
    """Distribution and port mapper included."""
    psutil = importlib.import_module("psutil")
    for pid in (broker.pid, store.pid):
        listening = [c.laddr.ip for c in psutil.Process(pid).net_connections() if c.status == psutil.CONN_LISTEN]
        assert listening
        assert set(listening) <= {"127.0.0.1"}


async def test_a_killed_database_starts_again_with_its_data_on_its_port(store: PrivatePostgres) -> None:
    """What a crash test of PostgreSQL needs."""
    await _fetch(store.url, "CREATE TABLE kept AS SELECT 7 AS number")
    store.kill()
    assert not database_answers(store.url)
    store.start()
    assert await _fetch(store.url, "SELECT number FROM kept") == 7
    store.stop()
    store.start()
    await _fetch(store.url, "DROP TABLE kept")


@pytest.mark.fault
async def test_a_killed_broker_starts_again_with_its_messages_on_its_ports(broker: PrivateRabbitMQ) -> None:
    """What a crash test of RabbitMQ needs."""
    async with await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        await channel.declare_queue("kept", durable=True)
        broker.control("eval", "catch mnesia:sync_log().")  # RabbitMQ 3 answers before what it declared is written
        lasting = aio_pika.Message(b"kept", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(lasting, "kept")
        before = broker.pid
        broker.kill()
    broker.start()
    assert broker.pid != before
    async with await aio_pika.connect(broker.url) as connection:
        queue = await (await connection.channel()).get_queue("kept")
        assert (await queue.get(no_ack=True)).body == b"kept"


async def test_containers_come_and_go_where_an_engine_answers() -> None:
    """The same two corners as on private servers."""
    docker = importlib.import_module("docker")
    try:
        engine = docker.from_env(timeout=2)
    except docker.errors.DockerException:
        pytest.skip("no Docker engine answers here")
    ours = {"label": f"{LABEL_SESSION_ID}={SESSION_ID}"}  # others may use the engine, too
    with (
        local_services({"HEROES_LOCAL_SERVICES": "docker"}) as services,
        services.virtual_host("corner") as amqp_url,
        services.database("corner") as database_url,
    ):
        await (await aio_pika.connect(amqp_url)).close()
        assert await _fetch(database_url, "SELECT 1") == 1
        assert len(engine.containers.list(filters=ours)) == 2
    assert engine.containers.list(all=True, filters=ours) == []
    engine.close()


async def _fetch(database_url: str, query: str) -> object:
    connection = await asyncpg.connect(plain_dsn(database_url))
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()
