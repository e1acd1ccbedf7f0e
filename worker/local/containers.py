"""Brings RabbitMQ and PostgreSQL as containers of a Docker engine that answers.

Invariant: no container of ours outlives the context; testcontainers' reaper stays off, being one more image to pull.
"""

import secrets
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from worker.local.errors import LocalServicesError
from worker.local.order import Found, Order
from worker.local.probes import broker_answers, database_answers

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

# The same as in docker-compose.yml.
RABBITMQ_IMAGE = "rabbitmq:4.3-management"
POSTGRES_IMAGE = "postgres:18"

ENGINE_TIMEOUT_SECONDS = 2
DEFAULT_HOST = "unix:///var/run/docker.sock"
PULL_TIMEOUT_SECONDS = 600
START_TIMEOUT_SECONDS = 120.0
USER = "heroes"
AMQP_PORT, MANAGEMENT_PORT, POSTGRES_PORT = 5672, 15672, 5432


@contextmanager
def docker_way(order: Order) -> Iterator[Found]:
    """Containers on random ports. Raises: LocalServicesError if no engine answers or it can't have the images."""
    wanted = ((RABBITMQ_IMAGE, order.rabbitmq), (POSTGRES_IMAGE, order.postgres))
    images = [image for image, is_wanted in wanted if is_wanted]
    _require(images, order)
    order.say(f"Starting containers of {' and '.join(images)}")
    password = secrets.token_hex(16)
    with ExitStack() as stack:
        broker = stack.enter_context(_started(_rabbitmq(password))) if order.rabbitmq else None
        database = stack.enter_context(_started(_postgres(password))) if order.postgres else None
        found = Found(
            f"amqp://{USER}:{password}@{_address(broker, AMQP_PORT)}/{USER}" if broker else "",
            f"postgresql+asyncpg://{USER}:{password}@{_address(database, POSTGRES_PORT)}/{USER}" if database else "",
            f"http://{USER}:{password}@{_address(broker, MANAGEMENT_PORT)}" if broker else "",
        )
        if broker:
            _wait(broker, lambda: broker_answers(found.rabbitmq_url, found.management_url))
        if database:
            _wait(database, lambda: database_answers(found.database_url))
        yield found


def _require(images: Sequence[str], order: Order) -> None:
    """An engine answers within 2 s and has the images, pulled if need be."""
    try:
        import docker  # lazily, as testcontainers is a development dependency
        import requests
    except ImportError as missing:
        raise LocalServicesError(f"Docker can't be used: install the development dependencies ({missing}).") from None
    try:
        _knock(order.environ.get("DOCKER_HOST") or DEFAULT_HOST)
        with closing(docker.from_env(timeout=ENGINE_TIMEOUT_SECONDS, environment=dict(order.environ))) as client:
            client.ping()
    except (OSError, docker.errors.DockerException, requests.RequestException):
        raise LocalServicesError("No Docker engine answers.") from None
    if find_spec("testcontainers") is None:  # to import it asks the engine, so not before one answers
        raise LocalServicesError("Docker can't be used: install the development dependencies (testcontainers).")
    with closing(docker.from_env(timeout=PULL_TIMEOUT_SECONDS, environment=dict(order.environ))) as client:
        for image in images:
            try:
                if not client.images.list(name=image):
                    order.say(f"Pulling {image}")
                    client.images.pull(image)
            except (docker.errors.DockerException, requests.RequestException):
                raise LocalServicesError(f"Docker has no image {image} and can't pull it: load it by hand.") from None


def _knock(host: str) -> None:
    """Somebody listens there, if it is a socket of this machine; the client leaks its own where nobody does."""
    scheme, _, path = host.partition("://")
    if scheme == "unix":
        with socket.socket(socket.AF_UNIX) as knock:
            knock.settimeout(ENGINE_TIMEOUT_SECONDS)
            knock.connect(path)


def _rabbitmq(password: str) -> "DockerContainer":
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(RABBITMQ_IMAGE).with_exposed_ports(AMQP_PORT, MANAGEMENT_PORT)
    return container.with_envs(RABBITMQ_DEFAULT_USER=USER, RABBITMQ_DEFAULT_PASS=password, RABBITMQ_DEFAULT_VHOST=USER)


def _postgres(password: str) -> "DockerContainer":
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(POSTGRES_IMAGE).with_exposed_ports(POSTGRES_PORT)
    return container.with_command("postgres -c max_connections=200").with_envs(
        POSTGRES_USER=USER, POSTGRES_PASSWORD=password, POSTGRES_DB=USER
    )


@contextmanager
def _started(container: "DockerContainer") -> Iterator["DockerContainer"]:
    """The container runs; its volumes go with it."""
    import docker
    from testcontainers.core.config import testcontainers_config

    testcontainers_config.ryuk_disabled = True
    try:
        try:
            container.start()
        except docker.errors.DockerException as refused:
            raise LocalServicesError(f"Docker could not run {container.image}: {refused}") from None
        yield container
    finally:
        container.stop()


def _address(container: "DockerContainer", port: int) -> str:
    return f"{container.get_container_host_ip()}:{container.get_exposed_port(port)}"


def _wait(container: "DockerContainer", ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not ready():
        if time.monotonic() > deadline:
            end = b"\n".join(container.get_logs())[-1000:].decode(errors="replace")
            what = f"was not ready within {START_TIMEOUT_SECONDS:.0f} s"
            raise LocalServicesError(f"The container of {container.image} {what}; its log ends with:\n{end}")
        time.sleep(0.1)
