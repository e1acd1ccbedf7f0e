"""A RabbitMQ and a PostgreSQL for a machine that has neither, for the demonstration, for running and for the tests.

Invariant: what is brought is taken away again; what was there before is left alone.
"""

from worker.local.errors import LocalServicesError
from worker.local.postgres import PrivatePostgres
from worker.local.rabbitmq import PrivateRabbitMQ
from worker.local.services import Services
from worker.local.ways import local_services

__all__ = ["LocalServicesError", "PrivatePostgres", "PrivateRabbitMQ", "Services", "local_services"]
