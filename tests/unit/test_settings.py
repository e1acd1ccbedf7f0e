"""Every setting is checked before anything starts; an error names the variable, what it takes and never its value."""

import os
import socket
import sys

import pytest

from worker.errors import ExitCode, SettingsError
from worker.observability.observed import observed
from worker.settings import PREFIX, Settings, load_settings

SECRET = "Zx9Qk7"
GOOD = {
    "HEROES_RABBITMQ_URL": f"amqp://ann:{SECRET}@broker:5672/v",
    "HEROES_DATABASE_URL": f"postgresql+asyncpg://ann:{SECRET}@store:5432/d",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing of the test run's own settings."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def refusal() -> str:
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert refused.value.exit_code is ExitCode.USAGE
    return str(refused.value)


def test_the_defaults_are_those_of_the_documentation() -> None:
    settings = load_settings().model_dump()
    assert settings.pop("worker_id") == f"{socket.gethostname()}-{os.getpid()}"
    documented = {
        "rabbitmq_url": GOOD["HEROES_RABBITMQ_URL"],
        "database_url": GOOD["HEROES_DATABASE_URL"],
        "concurrency": 16,
        "prefetch": 32,
        "http_host": "127.0.0.1",
        "http_port": 8080,
        "inbox_retention_days": 7,
        "event_log_retention_days": 7,
        "shutdown_timeout_seconds": 25,
        "startup_timeout_seconds": 60,
        "statement_timeout_seconds": 5,
        "publish_timeout_seconds": 10,
        "sweep_after_seconds": 60,
        "outage_release_seconds": 300,
        "max_body_bytes": 1_048_576,
        "log_format": "json",
        "log_level": "INFO",
        "otlp_endpoint": None,
    }
    assert settings == {name: documented[name] for name in settings}


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_url_is_named(name: str, environment: pytest.MonkeyPatch) -> None:
    environment.delenv(name)
    assert refusal().startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("name", "value", "takes"),
    [
        ("RABBITMQ_URL", f"http://ann:{SECRET}@broker/", "amqp://"),
        ("RABBITMQ_URL", SECRET, "amqp://"),
        ("RABBITMQ_URL", "", "amqp://"),
        ("RABBITMQ_URL", f"amqp://ann:{SECRET}@", "amqp://"),
        ("DATABASE_URL", f"postgresql://ann:{SECRET}@store/d", "postgresql+asyncpg://"),
        ("DATABASE_URL", f"postgresql+psycopg://ann:{SECRET}@store/d", "postgresql+asyncpg://"),
        ("DATABASE_URL", f"mysql://ann:{SECRET}@store/d", "postgresql+asyncpg://"),
        ("DATABASE_URL", SECRET, "postgresql+asyncpg://"),
        ("CONCURRENCY", "0", "greater than or equal to 1"),
        ("CONCURRENCY", "many", "integer"),
        ("CONCURRENCY", "501", "less than or equal to 500"),
        ("PREFETCH", "0", "greater than or equal to 1"),
        ("PREFETCH", "1.5", "integer"),
        ("WORKER_ID", "", "at least 1 character"),
        ("WORKER_ID", "w" * 201, "at most 200 characters"),
        ("HTTP_PORT", "65536", "less than or equal to 65535"),
        ("HTTP_PORT", "-1", "greater than or equal to 0"),
        ("INBOX_RETENTION_DAYS", "0", "greater than or equal to 1"),
        ("EVENT_LOG_RETENTION_DAYS", "-1", "greater than or equal to 0"),
        ("SHUTDOWN_TIMEOUT_SECONDS", "0", "greater than or equal to 0.1"),
        ("STARTUP_TIMEOUT_SECONDS", "inf", "less than or equal to 86400"),
        ("STATEMENT_TIMEOUT_SECONDS", "nan", "less than or equal to 86400"),
        ("PUBLISH_TIMEOUT_SECONDS", "-5", "greater than or equal to 0.1"),
        ("SWEEP_AFTER_SECONDS", "soon", "number"),
        ("MAX_BODY_BYTES", "1023", "greater than or equal to 1024"),
        ("MAX_BODY_BYTES", "1MB", "integer"),
        ("LOG_FORMAT", "xml", "'json' or 'console'"),
        ("LOG_LEVEL", "LOUD", "'DEBUG'"),
        ("OTLP_ENDPOINT", f"ann:{SECRET}@collector:4318", "http://collector:4318"),
        ("OTLP_ENDPOINT", f"grpc://ann:{SECRET}@collector:4317", "http://collector:4318"),
    ],
)
def test_a_wrong_value_names_its_variable_and_what_it_takes(
    name: str, value: str, takes: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv(f"{PREFIX}{name}", value)
    message = refusal()
    assert message.startswith(f"{PREFIX}{name}: ")
    assert takes in message
    assert len(message.splitlines()) == 1
    assert SECRET not in message


# What ends a URL early, or is none at all: the rest of the password lands in host, port, path or an error's text.
BROKEN = ("{}:abc", "{}:99999", "{}%zz", "[{}", "a/{}", "a#{}", "a?{}", "{}\u2100", "{}]", " {}", "{}\n", "{0}@{0}")


@pytest.mark.parametrize("pattern", BROKEN)
@pytest.mark.parametrize(("name", "scheme"), [("RABBITMQ_URL", "amqp"), ("DATABASE_URL", "postgresql+asyncpg")])
def test_no_error_shows_a_part_of_a_url(name: str, scheme: str, pattern: str, environment: pytest.MonkeyPatch) -> None:
    """However broken it is; it may well be taken, and then the connection says what is wrong."""
    for broken in (f"{scheme}://ann:{pattern.format(SECRET)}@h", f"{scheme}://{pattern.format(SECRET)}"):
        environment.setenv(f"{PREFIX}{name}", broken)
        complaint = _complaint()
        assert SECRET not in complaint
        assert not complaint or complaint.startswith(f"{PREFIX}{name}: should be like {scheme}://")


def _complaint() -> str:
    try:
        load_settings()
    except SettingsError as refused:
        return str(refused)
    return ""


def test_all_that_is_wrong_is_told_at_once(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("HEROES_CONCURRENCY", "no")
    environment.setenv("HEROES_LOG_LEVEL", "no")
    environment.delenv("HEROES_DATABASE_URL")
    lines = refusal().splitlines()
    assert {line.split(":")[0] for line in lines} == {"HEROES_DATABASE_URL", "HEROES_CONCURRENCY", "HEROES_LOG_LEVEL"}


def test_settings_shown_by_mistake_show_no_password() -> None:
    """In a log line, in a traceback's locals or in a failed assertion."""
    settings = load_settings()
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)


def test_a_misspelt_variable_does_not_stop_the_worker(environment: pytest.MonkeyPatch) -> None:
    """The tests' own HEROES_ variables stand in the same environment."""
    environment.setenv("HEROES_LOCAL_SERVICES", "env")
    assert load_settings().concurrency == 16


@pytest.mark.parametrize(
    "url", ["amqps://h", "amqp://h", "amqp://u@h:1/%2f", "amqp://u:p%40ss@[::1]:5672/v?heartbeat=5"]
)
def test_every_usual_form_of_a_broker_url_is_taken(url: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("HEROES_RABBITMQ_URL", url)
    assert load_settings().rabbitmq_url == url


def test_a_collector_that_is_left_empty_is_none(environment: pytest.MonkeyPatch) -> None:
    """As a compose file hands it on."""
    environment.setenv("HEROES_OTLP_ENDPOINT", "")
    assert load_settings().otlp_endpoint is None
    environment.setenv("HEROES_OTLP_ENDPOINT", f"https://ann:{SECRET}@collector:4318")
    assert SECRET not in repr(load_settings())


def test_tracing_without_its_extra_is_refused_with_what_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEROES_OTLP_ENDPOINT", "http://collector:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    monkeypatch.delitem(sys.modules, "worker.observability.tracing", raising=False)
    with pytest.raises(SettingsError, match=r"HEROES_OTLP_ENDPOINT: .*pip install"):
        observed(load_settings(), ["a type"])


def test_settings_can_not_change_under_a_running_worker() -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.concurrency = 3  # type: ignore[misc]  # the very thing that must not work


def test_every_setting_says_what_it_is_for() -> None:
    assert all(field.description for field in Settings.model_fields.values())
