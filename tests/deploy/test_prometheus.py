"""The alerts ask for figures that exist, say what an operator needs, and do what their own tests say (promtool)."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.figures import KNOWN, asked_for

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
GROUPS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
TESTS: list[str] = [test["name"] for test in yaml.safe_load((FOLDER / "tests.yml").read_text())["tests"]]


@pytest.mark.parametrize(
    "command",
    [("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml"), ("test", "rules", "tests.yml")],
    ids=" ".join,
)
def test_promtool_finds_nothing_wrong(command: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    done = subprocess.run(  # noqa: S603 - our own command line, no shell
        [promtool, *command], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_is_proven_to_fire_and_to_be_silent(name: str) -> None:
    assert [test for test in TESTS if test.startswith(f"{name} fires: ")]
    assert [test for test in TESTS if test.startswith(f"{name} is silent: ")]


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_says_how_bad_it_is_what_it_means_and_where_to_read_on(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"] in ({"severity": "critical"}, {"severity": "warning"})
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{name.lower()}"
    assert not rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["description"].endswith(".")


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_asks_for_figures_that_exist(name: str) -> None:
    asked = asked_for(ALERTS[name]["expr"])
    assert asked
    assert asked <= KNOWN


def test_no_two_alerts_have_one_name() -> None:
    assert sum(len(group["rules"]) for group in GROUPS) == len(ALERTS)


def test_a_misspelt_figure_would_be_found() -> None:
    """The positive control."""
    assert asked_for('sum by (worker_x) (rate(worker_comands_total{type="worker_y"}[5m])) > 1') == {
        "worker_comands_total"
    }
    assert asked_for('{__name__=~"rabbitmq_alarm_.*"}') == {"rabbitmq_alarm_.*"}


def test_alerts_speak_of_jobs_that_are_scraped() -> None:
    jobs = {job["job_name"] for job in yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]}
    for rule in ALERTS.values():
        for exact, pattern in re.findall(r'job=(?:"([^"]+)"|~"([^"]+)")', rule["expr"]):
            assert [job for job in jobs if job == exact or re.fullmatch(pattern or "-", job)], rule["alert"]
