"""The RabbitMQ and the PostgreSQL that somebody may use, and fresh corners of them.

Invariant: no password shows in a description, a representation or an error.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

import asyncpg
import httpx

from worker.local.errors import LocalServicesError
from worker.local.probes import plain_dsn, run_apart

REQUEST_TIMEOUT_SECONDS = 30.0
NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")


@dataclass(frozen=True, slots=True, repr=False)
class Services:
    """Where RabbitMQ and PostgreSQL answer, and the way they came: env, docker or private."""

    rabbitmq_url: str
    database_url: str
    management_url: str
    way: str

    def describe(self) -> str:
        """One line without passwords."""
        return f"{self.way}: {without_password(self.rabbitmq_url)} and {without_password(self.database_url)}"

    def __repr__(self) -> str:
        return f"Services({self.describe()})"

    @contextmanager
    def virtual_host(self, name: str) -> Iterator[str]:
        """The AMQP URL of a fresh virtual host, deleted afterwards; a random ending keeps it from any other."""
        fresh = _fresh(name)
        address = urlsplit(self.rabbitmq_url)
        user = quote(unquote(address.username or "guest"), safe="")
        self._manage("PUT", f"vhosts/{fresh}", {})
        try:
            self._manage("PUT", f"permissions/{fresh}/{user}", {"configure": ".*", "write": ".*", "read": ".*"})
            yield address._replace(path=f"/{fresh}").geturl()
        finally:
            self._manage("DELETE", f"vhosts/{fresh}", None)

    @contextmanager
    def database(self, name: str) -> Iterator[str]:
        """The URL of a fresh database, dropped afterwards whoever is connected; its name ends at random, too."""
        fresh = _fresh(name)
        self._execute(f'CREATE DATABASE "{fresh}"')
        try:
            yield urlsplit(self.database_url)._replace(path=f"/{fresh}").geturl()
        finally:
            self._execute(f'DROP DATABASE "{fresh}" WITH (FORCE)')

    def _manage(self, method: str, path: str, body: dict[str, str] | None) -> None:
        try:
            # Not in the URL: httpx logs it.
            address = httpx.URL(self.management_url)
            auth = httpx.BasicAuth(address.username, address.password)
            bare = str(address.copy_with(username=None, password=None)).rstrip("/")
            with httpx.Client(trust_env=False, timeout=REQUEST_TIMEOUT_SECONDS, auth=auth) as client:
                client.request(method, f"{bare}/api/{path}", json=body).raise_for_status()
        except httpx.HTTPStatusError as refused:
            raise LocalServicesError(f"RabbitMQ refused {method} /api/{path}: {refused.response.text[:200]}") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            where = without_password(self.management_url) or "nowhere"
            raise LocalServicesError(
                f"RabbitMQ's management API does not answer at {where} ({type(error).__name__}): enable it "
                "(rabbitmq-plugins enable rabbitmq_management) or name it with HEROES_RABBITMQ_MANAGEMENT_URL."
            ) from None

    def _execute(self, statement: str) -> None:
        async def execute() -> None:
            connection = await asyncpg.connect(plain_dsn(self.database_url), timeout=REQUEST_TIMEOUT_SECONDS)
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        try:
            run_apart(execute())
        except (OSError, TimeoutError, asyncpg.PostgresError) as error:
            where = without_password(self.database_url)
            raise LocalServicesError(f"PostgreSQL at {where} refused {statement!r}: {error}") from None


def without_password(url: str) -> str:
    """The URL without user and password."""
    address = urlsplit(url)
    return address._replace(netloc=address.netloc.rpartition("@")[2]).geturl()


def _fresh(name: str) -> str:
    if not NAME.fullmatch(name):
        raise LocalServicesError(f"{name!r} is no name for a fresh corner: take a-z, 0-9 and _, a letter first.")
    return f"{name}_{secrets.token_hex(4)}"
