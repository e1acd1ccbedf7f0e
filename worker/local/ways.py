"""Chooses the way in which RabbitMQ and PostgreSQL come: named by the environment, by Docker, or as private servers.

Invariant: what a way brought is taken away when the context ends, also by an exception or SIGTERM.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import NoReturn
from urllib.parse import urlsplit

from worker.local.containers import docker_way
from worker.local.errors import LocalServicesError
from worker.local.order import Found, Order, Way
from worker.local.private import private_way
from worker.local.probes import is_listened_at
from worker.local.services import Services, without_password

RABBITMQ_VARIABLE = "HEROES_RABBITMQ_URL"
DATABASE_VARIABLE = "HEROES_DATABASE_URL"
MANAGEMENT_VARIABLE = "HEROES_RABBITMQ_MANAGEMENT_URL"
WAY_VARIABLE = "HEROES_LOCAL_SERVICES"
MANAGEMENT_PORT = 15672


def say_on_stderr(line: str) -> None:
    """The line stands on standard error, so that standard output stays clean for who reads it."""
    sys.stderr.write(f"{line}\n")


@contextmanager
def local_services(
    environ: Mapping[str, str] = os.environ, say: Callable[[str], None] = say_on_stderr
) -> Iterator[Services]:
    """A RabbitMQ and a PostgreSQL that answer. Raises: LocalServicesError that says what to do."""
    with _unwinding_at_sigterm(), ExitStack() as stack:
        _require_listeners(environ)
        yield bring({"docker": docker_way, "private": private_way}, environ, say, stack)


def _require_listeners(environ: Mapping[str, str]) -> None:
    """What is named by the environment is there.

    Raises:
        LocalServicesError: it is not; often it was a `make run` that has ended.
    """
    if environ.get(WAY_VARIABLE, "") not in ("", "env"):
        return
    for variable, usual_port in ((RABBITMQ_VARIABLE, 5672), (DATABASE_VARIABLE, 5432)):
        url = environ.get(variable)
        if url and not is_listened_at(url, usual_port):
            names = f"{RABBITMQ_VARIABLE} {DATABASE_VARIABLE} {MANAGEMENT_VARIABLE}"
            raise LocalServicesError(
                f"{variable} is set, and nobody listens at {without_password(url)}: start it; or, if that was a"
                f" `make run` that has ended, `unset {names}`."
            )


def bring(
    ways: Mapping[str, Way], environ: Mapping[str, str], say: Callable[[str], None], stack: ExitStack
) -> Services:
    """Services by the forced way, else what is named by the environment and the rest by the first way that works."""
    forced = environ.get(WAY_VARIABLE, "")
    if forced not in ("", "env", *ways):
        takes = ", ".join(("env", *ways))
        raise LocalServicesError(f"{WAY_VARIABLE} is {forced!r}: it takes one of {takes}, or leave it unset.")
    named = _named(environ) if forced in ("", "env") else Found()
    missing = [
        variable
        for variable, url in ((RABBITMQ_VARIABLE, named.rabbitmq_url), (DATABASE_VARIABLE, named.database_url))
        if not url
    ]
    if not missing:
        return Services(named.rabbitmq_url, named.database_url, named.management_url, "env")
    if forced == "env":
        raise LocalServicesError(f"{WAY_VARIABLE}=env needs {' and '.join(missing)}: set what is missing.")
    order = Order(not named.rabbitmq_url, not named.database_url, environ, say)
    way, brought = _first_that_works({forced: ways[forced]} if forced else ways, order, stack)
    return Services(
        named.rabbitmq_url or brought.rabbitmq_url,
        named.database_url or brought.database_url,
        named.management_url or brought.management_url,
        way,
    )


def _first_that_works(ways: Mapping[str, Way], order: Order, stack: ExitStack) -> tuple[str, Found]:
    *others, last = ways
    for name in others:
        try:
            return name, stack.enter_context(ways[name](order))
        except LocalServicesError as cannot:
            order.say(f"{cannot} Going on with the next way.")
    return last, stack.enter_context(ways[last](order))


def _named(environ: Mapping[str, str]) -> Found:
    rabbitmq_url = environ.get(RABBITMQ_VARIABLE, "")
    management_url = environ.get(MANAGEMENT_VARIABLE, "")
    if rabbitmq_url and not management_url:
        address = urlsplit(rabbitmq_url)
        user = address.netloc.rpartition("@")[0] or "guest:guest"
        management_url = f"http://{user}@{address.hostname}:{MANAGEMENT_PORT}"
    return Found(rabbitmq_url, environ.get(DATABASE_VARIABLE, ""), management_url if rabbitmq_url else "")


@contextmanager
def _unwinding_at_sigterm() -> Iterator[None]:
    """SIGTERM leaves through every `with`, unless the program handles it in its own way already."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def leave(number: int, _frame: FrameType | None) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not interrupt the clean-up
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
