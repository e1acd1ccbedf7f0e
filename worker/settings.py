"""The settings, read from the environment with the prefix HEROES_ and all checked before anything starts.

An error names the variable and what it takes, and never shows what stood there: it may hold a password.
"""

import os
import socket
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from yarl import URL

from worker import tls
from worker.errors import SettingsError

PREFIX = "HEROES_"

_Seconds = Annotated[float, Field(ge=0.1, le=86_400)]


def _parts(value: str) -> URL:
    """The URL, or an empty one where it is none: the parser's own words would quote what may be a password."""
    try:
        parts = URL(value)
    except ValueError:
        return URL()
    # An unescaped slash in a password makes the rest of it look like the path.
    return URL() if "@" in parts.path else parts


def amqp_url(value: str) -> str:
    """The URL, if it leads to a broker.

    Raises:
        ValueError: it does not; the message says what it should be like.
    """
    parts = _parts(value)
    if parts.scheme not in {"amqp", "amqps"} or not parts.host:
        raise ValueError("should be like amqp://user:password@host:5672/virtual-host (or amqps)")
    _check_tls(parts, tls.AMQP, parts.scheme == "amqps", "amqps")
    if parts.query.get("no_verify_ssl", "0") != "0":
        raise ValueError("no_verify_ssl would take anybody for the broker: leave it out, and name cafile=/path/ca.pem")
    return value


def postgresql_url(value: str) -> str:
    """The URL, if it leads to a database.

    Raises:
        ValueError: it does not; the message says what it should be like.
    """
    parts = _parts(value)
    if parts.scheme != "postgresql+asyncpg" or not parts.host or len(parts.path) <= 1:
        raise ValueError("should be like postgresql+asyncpg://user:password@host:5432/database")
    if "sslmode" in parts.query or parts.query.get("ssl", "disable") not in {"disable", "verify-full"}:
        raise ValueError("takes ssl=verify-full or ssl=disable: what lies between asks nobody for a certificate")
    _check_tls(parts, tls.POSTGRESQL, parts.query.get("ssl") == "verify-full", "ssl=verify-full")
    return value


def _collector(value: str | None) -> str | None:
    if not value:  # handed on by somebody who leaves it open
        return None
    parts = _parts(value)
    if parts.scheme not in {"http", "https"} or not parts.host:
        raise ValueError("should be like http://collector:4318 (or https)")
    return value


def _check_tls(parts: URL, options: tls.Options, is_on: bool, switch: str) -> None:
    """The files that the URL names are there and of use, and every option has one value."""
    if len(parts.query) > len(set(parts.query)):
        raise ValueError("has an option twice")
    named = [option for option in options if option in parts.query]
    if named and not is_on:
        raise ValueError(f"{' and '.join(named)}: only together with {switch}")
    if named:
        tls.context(parts.query, options)


class Settings(BaseSettings):
    """What an operator can set. Units stand in the names."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, hide_input_in_errors=True)

    rabbitmq_url: Annotated[str, AfterValidator(amqp_url)] = Field(
        repr=False, description="where RabbitMQ is, with the virtual host"
    )
    database_url: Annotated[str, AfterValidator(postgresql_url)] = Field(repr=False, description="where PostgreSQL is")
    concurrency: int = Field(16, ge=1, le=500, description="commands at work in one process = size of its pool")
    prefetch: int = Field(32, ge=1, le=10_000, description="unacknowledged commands from one queue")
    worker_id: str = Field(
        default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}",
        min_length=1,
        max_length=200,
        description="this worker's name in logs, on dead letters and for sharing out the queues",
    )
    http_host: str = Field("127.0.0.1", description="where the health page listens")
    http_port: int = Field(8080, ge=0, le=65_535, description="0: any free port, printed at start")
    inbox_retention_days: int = Field(7, ge=1, le=3650, description="how long a command's id is remembered")
    event_log_retention_days: int = Field(7, ge=0, le=3650, description="age of the event log; 0: no event log")
    shutdown_timeout_seconds: _Seconds = Field(25, description="how long leaving may take")
    startup_timeout_seconds: _Seconds = Field(60, description="how long to wait for RabbitMQ and PostgreSQL at start")
    statement_timeout_seconds: _Seconds = Field(5, description="the longest that one SQL statement may take")
    publish_timeout_seconds: _Seconds = Field(10, description="the longest that a confirm may take")
    sweep_after_seconds: _Seconds = Field(
        60, description="age at which unpublished events are published by the sweeper"
    )
    outage_release_seconds: _Seconds = Field(
        300, description="length of an outage after which commands in hand go back to their queues"
    )
    max_body_bytes: int = Field(1_048_576, ge=1024, le=134_217_728, description="the largest command taken")
    log_format: Literal["json", "console"] = Field("json", description="for machines or for people")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="from here upwards")
    otlp_endpoint: Annotated[str | None, AfterValidator(_collector)] = Field(
        None, repr=False, description="the collector that takes traces by OTLP over HTTP; none: no tracing"
    )


def load_settings() -> Settings:
    """The settings of this process.

    Raises:
        SettingsError: one line for each variable that is missing or wrong.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        raise SettingsError("\n".join(_sentence(str(item["loc"][0]), item["msg"]) for item in problems)) from None


def unknown_variables() -> list[str]:
    """The variables with our prefix that mean nothing to a worker: a misspelt one would be ignored in silence."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    others = (f"{PREFIX}LOCAL_", f"{PREFIX}RABBITMQ_MANAGEMENT_URL")  # the local services' own
    ours = {name for name in os.environ if name.startswith(PREFIX) and not name.startswith(others)}
    return sorted(ours - known)


def _sentence(name: str, message: str) -> str:
    description = Settings.model_fields[name].description
    return f"{PREFIX}{name.upper()}: {message.removeprefix('Value error, ')} ({description})"
