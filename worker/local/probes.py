"""Questions that a server answers only when it is ready, and ports that nobody listens on.

Invariant: a probe never raises because a server isn't there yet, and never waits longer than its time-out.
"""

import asyncio
import contextlib
import random
import socket
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg
import httpx

PROBE_TIMEOUT_SECONDS = 2.0
AMQP_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
AMQP_METHOD_FRAME = b"\x01"
# Below the range that systems hand out to outgoing connections, so that a killed server finds its port free again.
PORTS = range(12_000, 32_000)

T = TypeVar("T")


def free_ports(count: int) -> list[int]:
    """Distinct loopback ports that nobody listens on now."""
    found: list[int] = []
    for port in random.SystemRandom().sample(PORTS, k=len(PORTS)):
        with socket.socket() as attempt, contextlib.suppress(OSError):
            attempt.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            break
    return found


def is_listened_at(url: str, usual_port: int) -> bool:
    """Somebody takes connections there."""
    address = urlsplit(url)
    try:
        with socket.create_connection((address.hostname, address.port or usual_port), PROBE_TIMEOUT_SECONDS):
            return True
    except OSError:
        return False


def broker_answers(amqp_url: str, management_url: str) -> bool:
    """True once the broker shakes hands and its management API knows the user."""
    return _shakes_hands(amqp_url) and _management_answers(management_url)


def database_answers(database_url: str) -> bool:
    """True once PostgreSQL answers a query."""

    async def ask() -> bool:
        connection = await asyncpg.connect(plain_dsn(database_url), timeout=PROBE_TIMEOUT_SECONDS)
        try:
            return bool(await connection.fetchval("SELECT true", timeout=PROBE_TIMEOUT_SECONDS))
        finally:
            connection.terminate()

    try:
        return run_apart(ask())
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False


def plain_dsn(database_url: str) -> str:
    """The URL as asyncpg takes it, without SQLAlchemy's driver name."""
    return database_url.replace("postgresql+asyncpg://", "postgresql://", 1)


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """The coroutine's result, from an event loop on a thread of its own: callers may stand in a loop already."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()


def _shakes_hands(amqp_url: str) -> bool:
    address = urlsplit(amqp_url)
    try:
        with socket.create_connection((address.hostname, address.port or 5672), PROBE_TIMEOUT_SECONDS) as client:
            client.settimeout(PROBE_TIMEOUT_SECONDS)
            client.sendall(AMQP_PROTOCOL_HEADER)
            return client.recv(1) == AMQP_METHOD_FRAME
    except OSError:
        return False


def _management_answers(management_url: str) -> bool:
    try:
        with httpx.Client(trust_env=False, timeout=PROBE_TIMEOUT_SECONDS) as client:
            return client.get(f"{management_url}/api/whoami").status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
