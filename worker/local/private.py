"""Brings private servers, both at once: the node boots while the database is made.

Invariant: after the context nothing of them runs and no folder is left.
"""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from worker.local.order import Found, Order
from worker.local.postgres import PrivatePostgres
from worker.local.rabbitmq import PrivateRabbitMQ


@contextmanager
def private_way(order: Order) -> Iterator[Found]:
    """Servers of our own in temporary folders. Raises: LocalServicesError if one can't be had here."""
    wanted = [name for name, is_wanted in (("RabbitMQ", order.rabbitmq), ("PostgreSQL", order.postgres)) if is_wanted]
    order.say(f"Starting a private {' and '.join(wanted)}")
    rabbitmq: PrivateRabbitMQ | None = None
    database_url = ""
    with ExitStack() as stack:
        if order.rabbitmq:
            rabbitmq = stack.enter_context(closing(PrivateRabbitMQ(order.environ, order.say)))
            rabbitmq.launch()
        if order.postgres:
            postgres = stack.enter_context(closing(PrivatePostgres()))
            postgres.start()
            database_url = postgres.url
        if rabbitmq is None:
            yield Found(database_url=database_url)
        else:
            rabbitmq.wait_ready()
            yield Found(rabbitmq.url, database_url, rabbitmq.management_url)
