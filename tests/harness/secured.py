"""A RabbitMQ and a PostgreSQL that speak TLS, with certificates of an authority made for one run of tests."""

import datetime as dt
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlsplit

import pytest
import trustme

from worker.local.errors import LocalServicesError
from worker.local.postgres import PrivatePostgres
from worker.local.probes import free_ports
from worker.local.rabbitmq import PrivateRabbitMQ

HOST = "127.0.0.1"  # the one that the certificates are for; `localhost` leads there, too

_RABBITMQ = """
listeners.ssl.1 = {host}:{port}
ssl_options.cacertfile = {folder}/ca.pem
ssl_options.certfile = {folder}/cert.pem
ssl_options.keyfile = {folder}/key.pem
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = {wanted}
"""
_POSTGRES = """
ssl = on
ssl_ca_file = '{folder}/ca.pem'
ssl_cert_file = '{folder}/cert.pem'
ssl_key_file = '{folder}/key.pem'
"""


@dataclass(frozen=True)
class Authority:
    """Signs certificates, and keeps in a folder what a client needs."""

    folder: Path
    ca: trustme.CA = field(default_factory=trustme.CA)

    @property
    def file(self) -> str:
        """The authority's own certificate."""
        path = self.folder / "ca.pem"
        if not path.exists():
            self.ca.cert_pem.write_to_path(str(path))
        return str(path)

    @property
    def client(self) -> str:
        """A client's certificate and its key, in one file."""
        path = self.folder / "client.pem"
        if not path.exists():
            self.ca.issue_cert("worker@example.com").private_key_and_cert_chain_pem.write_to_path(str(path))
        return str(path)

    def sign(self, folder: Path, *, expired: bool = False, owner: str | None = None) -> None:
        """The files of a server for HOST, in this folder."""
        yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        signed = self.ca.issue_cert(HOST, not_after=yesterday if expired else None)
        self.ca.cert_pem.write_to_path(str(folder / "ca.pem"))
        signed.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
        signed.private_key_pem.write_to_path(str(folder / "key.pem"))
        (folder / "key.pem").chmod(0o600)
        if owner:
            for name in ("ca.pem", "cert.pem", "key.pem"):
                shutil.chown(folder / name, owner)


@dataclass(frozen=True)
class SecuredRabbitMQ:
    """Takes AMQP in TLS beside the plain one."""

    broker: PrivateRabbitMQ
    port: int
    authority: Authority

    def url(self, query: str, host: str = HOST) -> str:
        """With the password."""
        address = urlsplit(self.broker.url)
        where = f"{address.username}:{address.password}@{host}:{self.port}"
        return address._replace(scheme="amqps", netloc=where, query=query).geturl()

    @contextmanager
    def expired(self) -> Iterator[None]:
        """It shows a certificate that was good until yesterday."""
        self._show(expired=True)
        try:
            yield
        finally:
            self._show(expired=False)

    def _show(self, *, expired: bool) -> None:
        self.authority.sign(self.broker._server.folder, expired=expired)
        self.broker.control("eval", "ssl:clear_pem_cache().")


@contextmanager
def secured_rabbitmq(authority: Authority, *, wants_certificate: bool = False) -> Iterator[SecuredRabbitMQ]:
    """It runs; where there can be none of our own, the test says so and is skipped."""
    try:
        broker = PrivateRabbitMQ()
    except LocalServicesError as error:
        pytest.skip(f"needs a RabbitMQ of its own: {error}")
    folder, (port,) = broker._server.folder, free_ports(1)
    authority.sign(folder)
    wanted = str(wants_certificate).lower()
    with (folder / "rabbitmq.conf").open("a") as configuration:
        configuration.write(_RABBITMQ.format(host=HOST, port=port, folder=folder, wanted=wanted))
    with broker:
        yield SecuredRabbitMQ(broker, port, authority)


@dataclass(frozen=True)
class SecuredPostgres:
    """Takes connections with and without TLS."""

    server: PrivatePostgres
    authority: Authority

    def url(self, query: str, host: str = HOST) -> str:
        """With the password."""
        address = urlsplit(self.server.url)
        where = f"{address.username}:{address.password}@{host}:{address.port}"
        return address._replace(netloc=where, query=query).geturl()

    @contextmanager
    def expired(self) -> Iterator[None]:
        """It shows a certificate that was good until yesterday."""
        self._show(expired=True)
        try:
            yield
        finally:
            self._show(expired=False)

    @contextmanager
    def wanting_a_certificate(self) -> Iterator[None]:
        """It lets nobody in without TLS and a certificate."""
        rules = self.server._data / "pg_hba.conf"
        before = rules.read_text()
        rules.write_text("hostssl all all all scram-sha-256 clientcert=verify-ca\n")
        self.reload()
        try:
            yield
        finally:
            rules.write_text(before)
            self.reload()

    def reload(self) -> None:
        """New connections find what the files say now."""
        os.kill(self.server.pid, signal.SIGHUP)

    def _show(self, *, expired: bool) -> None:
        self.authority.sign(self.server._data, expired=expired, owner=self.server._user)
        self.reload()


def _with_tls() -> Path | None:
    """The newest PostgreSQL that Debian's packages have brought."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda one: int(one.parts[-3]))
    return found[-1].parent if found else None


@contextmanager
def secured_postgres(authority: Authority) -> Iterator[SecuredPostgres]:
    """It runs; where there can be none of our own, the test says so and is skipped."""
    programs = _with_tls()
    if programs is None:
        pytest.skip("needs a PostgreSQL that speaks TLS, the wheel's does not: apt-get install postgresql")
    with patch("worker.local.postgres.postgres_programs", lambda: programs):
        server = PrivatePostgres()
    authority.sign(server._data, owner=server._user)
    with (server._data / "postgresql.conf").open("a") as configuration:
        configuration.write(_POSTGRES.format(folder=server._data))
    with closing(server):
        # Who asks whether it is up must not begin with TLS: what answers meanwhile is a refusal, and its socket leaks.
        with patch.dict(os.environ, {"PGSSLMODE": "disable"}):
            server.start()
        yield SecuredPostgres(server, authority)
