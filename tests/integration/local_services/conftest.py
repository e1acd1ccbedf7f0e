"""A private RabbitMQ and a private PostgreSQL for a module, in the place of the run's services."""

from collections.abc import Iterator

import pytest

from worker.local import PrivatePostgres, PrivateRabbitMQ, Services


@pytest.fixture(scope="module")
def broker() -> Iterator[PrivateRabbitMQ]:
    with PrivateRabbitMQ() as server:
        yield server


@pytest.fixture(scope="module")
def store() -> Iterator[PrivatePostgres]:
    with PrivatePostgres() as server:
        yield server


@pytest.fixture
def services(broker: PrivateRabbitMQ, store: PrivatePostgres) -> Services:
    return Services(broker.url, store.url, broker.management_url, "private")
