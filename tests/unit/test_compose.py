"""Reads docker-compose.yml beside the program, so that the two can't drift apart. Needs no Docker."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from worker.local.containers import POSTGRES_IMAGE, RABBITMQ_IMAGE
from worker.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
OURS = ("setup", "worker")
EXAMPLE = (ROOT / ".env.example").read_text()
KNOWN = {f"{PREFIX}{field.upper()}" for field in Settings.model_fields}

VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?P<fallback>:?[-?][^}]*)?\}")
IN_EXAMPLE = re.compile(r"^(?P<comment># )?(?P<name>[A-Z][A-Z0-9_]*)=(?P<value>.*)$", re.MULTILINE)
UNITS = {"s": 1, "m": 60, "h": 3600}


def environment(service: str) -> dict[str, str | None]:
    """What stands in the file for this service; None is handed on from `.env`."""
    written = SERVICES[service].get("environment", {})
    if isinstance(written, dict):
        return written
    pairs = (line.partition("=") for line in written)
    return {name: value if equals else None for name, equals, value in pairs}


def seconds(duration: str) -> int:
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([smh])", duration))


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_every_setting_that_compose_names_is_one_that_the_worker_has(service: str) -> None:
    named = {name for name in environment(service) if name.startswith(PREFIX)}
    assert named <= KNOWN, f"{service} sets what the worker does not know: {sorted(named - KNOWN)}"


def test_every_setting_in_the_example_is_one_that_the_worker_has_and_reaches_it() -> None:
    named = {found["name"] for found in IN_EXAMPLE.finditer(EXAMPLE) if found["name"].startswith(PREFIX)}
    assert named
    assert named <= KNOWN
    for service in OURS:
        handed_on = {name for name, value in environment(service).items() if value is None}
        assert handed_on == named


def test_every_optional_value_in_the_example_is_the_default() -> None:
    fallbacks = {found["name"]: found["fallback"] for found in VARIABLE.finditer(TEXT)}
    for found in IN_EXAMPLE.finditer(EXAMPLE):
        name, value = found["name"], found["value"]
        if name.startswith(PREFIX):
            default = Settings.model_fields[name.removeprefix(PREFIX).lower()].default
            assert value == ("" if default is None else str(default)), name
        elif found["comment"]:
            assert fallbacks[name] == f":-{value}", name


def test_setup_and_worker_have_the_same_settings_and_all_that_are_required() -> None:
    assert environment("setup") == environment("worker")
    required = {f"{PREFIX}{name.upper()}" for name, field in Settings.model_fields.items() if field.is_required()}
    assert required <= {name for name, value in environment("worker").items() if value}


@pytest.mark.parametrize(("service", "image"), [("rabbitmq", RABBITMQ_IMAGE), ("postgres", POSTGRES_IMAGE)])
def test_compose_runs_the_images_that_the_tests_run(service: str, image: str) -> None:
    assert SERVICES[service]["image"] == image


def test_what_only_looks_on_comes_when_it_is_asked_for_and_reads_the_files_that_are_shipped() -> None:
    asked_for = {name for name, service in SERVICES.items() if service.get("profiles")}
    assert asked_for == {"prometheus", "grafana"}
    for name in asked_for:
        assert SERVICES[name]["profiles"] == ["observability"]
        assert re.search(r":v?\d+\.\d+\.\d+$", SERVICES[name]["image"]), "pinned"
        files = [volume.split(":") for volume in SERVICES[name]["volumes"] if volume.startswith("./")]
        assert files
        for source, _, mode in files:
            assert (ROOT / source).exists()
            assert mode == "ro"


def test_prometheus_scrapes_the_services_that_compose_runs() -> None:
    jobs = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    workers, *brokers = jobs
    (found,) = workers["dns_sd_configs"]
    assert found["names"] == ["worker"]
    assert found["port"] == Settings.model_fields["http_port"].default
    assert {target for job in brokers for one in job["static_configs"] for target in one["targets"]} == {
        "rabbitmq:15692"
    }
    assert set(SERVICES) > {"worker", "rabbitmq"}


def test_every_published_port_is_on_loopback_only() -> None:
    ports = [(name, str(port)) for name, service in SERVICES.items() for port in service.get("ports", [])]
    assert ports
    for service, port in ports:
        assert port.startswith("127.0.0.1:"), f"{service} publishes {port} beyond this machine"
    assert not [service for service in OURS if "ports" in SERVICES[service]]
    assert not [name for name, service in SERVICES.items() if service.get("network_mode") == "host"]


def test_the_worker_has_longer_to_leave_than_its_drain_takes() -> None:
    drain = Settings.model_fields["shutdown_timeout_seconds"].default
    assert seconds(SERVICES["worker"]["stop_grace_period"]) > drain + 5
    assert f"{PREFIX}SHUTDOWN_TIMEOUT_SECONDS" not in environment("worker"), "the grace would not follow it"


def test_the_healthcheck_asks_the_port_on_which_the_worker_listens() -> None:
    asked = "\n".join(SERVICES["worker"]["healthcheck"]["test"])
    host, port = (Settings.model_fields[name].default for name in ("http_host", "http_port"))
    assert f'HTTPConnection("{host}", {port}' in asked
    assert "/readyz" in asked
    # Where Prometheus reaches it, loopback answers, too.
    assert environment("worker")[f"{PREFIX}HTTP_HOST"] == "0.0.0.0"  # noqa: S104 - of a network without a published port
    assert f"{PREFIX}HTTP_PORT" not in environment("worker")


@pytest.mark.parametrize("service", OURS)
def test_our_containers_can_change_nothing_and_gain_nothing(service: str) -> None:
    confined = SERVICES[service]
    assert confined["read_only"] is True
    assert confined["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in confined["security_opt"]
    assert not {"privileged", "cap_add", "volumes", "user"} & set(confined)


def test_the_image_runs_as_a_numeric_user_that_is_not_root() -> None:
    users = re.findall(r"^USER (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert users
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])


def test_no_password_is_written_in_compose() -> None:
    for service in SERVICES:
        for name, value in environment(service).items():
            if re.search(r"PASS|SECRET|TOKEN", name):
                assert VARIABLE.fullmatch(value or ""), f"{service} writes {name} out"
    without_variables = VARIABLE.sub("${}", TEXT)
    assert set(re.findall(r"://[^/\s:@]+:([^@\s]*)@", without_variables)) <= {"${}"}


def test_no_password_has_a_fallback() -> None:
    passwords = [found for found in VARIABLE.finditer(TEXT) if "PASSWORD" in found["name"]]
    assert passwords
    for found in passwords:
        assert (found["fallback"] or "").startswith(":?"), f"{found['name']} may be left out"
        assert ".env.example" in found["fallback"]


def test_every_variable_without_a_fallback_stands_in_the_example_and_every_other_as_a_comment() -> None:
    example = {found["name"]: not found["comment"] for found in IN_EXAMPLE.finditer(EXAMPLE)}
    for found in VARIABLE.finditer(TEXT):
        has_fallback = (found["fallback"] or "").startswith((":-", "-"))
        assert example.get(found["name"]) is (not has_fallback), found["name"]
