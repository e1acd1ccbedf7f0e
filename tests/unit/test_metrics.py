"""The figures have the names and labels that alerts rely on, all in the runbook; a message's words become no label."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.figures import WORKER
from tests.harness.commands import create
from worker.observability.metrics import Metrics
from worker.observability.readings import Reading
from worker.observability.watcher import Watcher
from worker.outcomes import Letter, Outcome, OutcomeKind, Reason, Traits, dead_lettered
from worker.watch import Sighting

RUNBOOK = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text()
TIME = "2026-01-02T03:04:05.000006Z"
READING = Reading(
    in_flight=1,
    lanes_waiting=2,
    prefetch_full={"a queue": True},
    gate_closed=True,
    gate_closed_seconds=1.5,
    pool_in_use=3,
    pool_size=16,
    events_owed=7,
    permits_slow=False,
    queues_attached=17,
    queues_expected=18,
)
LABELS: dict[str, set[str]] = {
    "worker_commands_total": {"type", "settlement"},
    "worker_retries_total": {"cause"},
    "worker_dead_letters_total": {"reason"},
    "worker_step_seconds": {"step"},
    "worker_prefetch_full": {"queue"},
    "worker_events_published_total": {"type"},
    "worker_publish_failures_total": {"exchange"},
    "worker_reconnects_total": {"connection"},
    "worker_ready": {"part"},
    "worker_build_info": {"version", "python", "faststream", "aio_pika"},
}


@pytest.fixture
def metrics() -> Metrics:
    made = Metrics(["hero.create"])
    made.readings.latest = READING
    made.readings.ready = {"commands": False}
    return made


def served(metrics: Metrics) -> dict[str, set[str]]:
    """Each figure's name as a query writes it, with the labels that it has; a histogram without its suffixes."""
    found: dict[str, set[str]] = {}
    for family in metrics.registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        for sample in family.samples:
            found.setdefault(name, set()).update(set(sample.labels) - {"le"})
    return found


def test_every_figure_stands_in_the_runbook_and_every_one_there_is_served(metrics: Metrics) -> None:
    Watcher(metrics).published("hero.created")  # its series begins with the first
    names = {name for name in served(metrics) if name.startswith("worker_")}
    (section,) = re.findall(r"^## Metrics$(.*?)^## ", RUNBOOK, re.MULTILINE | re.DOTALL)
    told = re.findall(r"^\| `(worker_\w+)(?:\{([\w, ]+)\})?`", section, re.MULTILINE)
    assert {name for name, _ in told} == names
    for name, labels in told:
        assert {label.strip() for label in labels.split(",") if label} == LABELS.get(name, set()), name


def test_every_figure_has_the_labels_that_queries_rely_on(metrics: Metrics) -> None:
    Watcher(metrics).published("hero.created")
    assert {name: labels for name, labels in served(metrics).items() if name.startswith("worker_") and labels} == LABELS


def test_alerts_and_dashboard_know_just_the_figures_that_are_served(metrics: Metrics) -> None:
    Watcher(metrics).published("hero.created")
    ours = {name: labels for name, labels in served(metrics).items() if name.startswith("worker_")}
    assert {name.removesuffix("_bucket"): labels - {"le"} for name, labels in WORKER.items()} == ours


def test_nothing_but_our_figures_and_the_process_is_served(metrics: Metrics) -> None:
    for line in metrics.exposition().decode().splitlines():
        assert line.startswith(("# ", "worker_", "process_")), line
        assert "_created" not in line


def test_while_a_worker_starts_its_page_tells_only_what_is_known() -> None:
    metrics = Metrics(["hero.create"])
    metrics.readings.ready = {"worker": False}
    text = metrics.exposition().decode()
    assert 'worker_ready{part="worker"} 0.0' in text
    assert "worker_gate_closed" not in text


def _value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


def _settle(metrics: Metrics, sighting: Sighting, outcome: Outcome) -> None:
    journey = Watcher(metrics).arrived(sighting)
    journey.starts()
    journey.decided(outcome)
    journey.announced()
    journey.settled()
    journey.gone()


def _applied(**more: Any) -> Outcome:
    return Outcome("an id", OutcomeKind.APPLIED, (), **more)


def _letter(reason: Reason) -> Outcome:
    return dead_lettered(create(), Letter(reason, "why"), TIME)


@pytest.mark.parametrize("told", ["nope", "hero.create ", "", None])
def test_a_type_that_nobody_knows_is_counted_as_unknown(metrics: Metrics, told: str | None) -> None:
    _settle(metrics, Sighting("q", Traits("id", told)), _letter(Reason.UNKNOWN_TYPE))
    assert _value(metrics, "worker_commands_total", type="unknown", settlement="dead_lettered") == 1
    assert {one.labels["type"] for family in metrics.commands.collect() for one in family.samples} == {
        "hero.create",
        "unknown",
    }


def test_every_step_of_a_command_is_timed_once(metrics: Metrics) -> None:
    _settle(metrics, Sighting("q", Traits("id", "hero.create")), _applied())
    for step in ("wait_turn", "decide", "publish", "settle"):
        assert _value(metrics, "worker_step_seconds_count", step=step) == 1
    assert _value(metrics, "worker_commands_total", type="hero.create", settlement="applied") == 1


def test_a_delivery_that_was_given_up_is_no_settlement(metrics: Metrics) -> None:
    journey = Watcher(metrics).arrived(Sighting("q", Traits("id", "hero.create", TIME)))
    journey.starts()
    journey.gone()
    assert _value(metrics, "worker_queue_age_seconds_count") == 1
    assert _value(metrics, "worker_critical_seconds_count") == 0
    assert _value(metrics, "worker_commands_total", type="hero.create", settlement="applied") == 0


@pytest.mark.parametrize(
    ("time", "sent_at", "seconds"),
    [
        pytest.param(timedelta(hours=-2), timedelta(), 7200, id="the command's time"),
        pytest.param(None, timedelta(hours=-1), 3600, id="else the AMQP timestamp"),
        pytest.param(timedelta(hours=2), None, 0, id="a clock that is ahead"),
        pytest.param(None, None, None, id="neither"),
        pytest.param("0001-01-01T00:00:00+14:00", None, 6.3e10, id="the first moment of all"),
        pytest.param("9999-12-31T23:59:59-14:00", None, 0, id="the last one"),
    ],
)
def test_ages_are_measured_from_the_publication(
    metrics: Metrics, time: timedelta | str | None, sent_at: timedelta | None, seconds: float | None
) -> None:
    now = datetime.now(UTC)
    told = (now + time).isoformat() if isinstance(time, timedelta) else time
    stamped = None if sent_at is None else now + sent_at
    _settle(metrics, Sighting("q", Traits("id", "hero.create", told), stamped), _applied())
    for name in ("worker_queue_age_seconds", "worker_critical_seconds"):
        assert _value(metrics, f"{name}_count") == (0 if seconds is None else 1)
        assert _value(metrics, f"{name}_sum") == pytest.approx(seconds or 0, rel=0.05, abs=1)


def test_a_duplicate_counts_as_such_and_its_age_says_nothing_of_us(metrics: Metrics) -> None:
    """It was settled long ago; its author sent it again with the old time."""
    sighting = Sighting("q", Traits("id", "hero.create", TIME))
    _settle(metrics, sighting, _applied(found=True, published=True))
    assert _value(metrics, "worker_commands_total", type="hero.create", settlement="duplicate") == 1
    assert _value(metrics, "worker_critical_seconds_count") == 0


def test_a_letter_is_counted_when_it_is_sent_and_not_again_by_a_copy_of_its_command(metrics: Metrics) -> None:
    sighting = Sighting("q", Traits("id", "hero.create"))
    _settle(metrics, sighting, _letter(Reason.HANDLER_FAILED))
    found = Outcome("id", OutcomeKind.DEAD_LETTERED, (), Letter(Reason.HANDLER_FAILED, ""), found=True, published=True)
    _settle(metrics, sighting, found)
    assert _value(metrics, "worker_dead_letters_total", reason="handler_failed") == 1
