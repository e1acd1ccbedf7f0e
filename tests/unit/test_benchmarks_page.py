"""What a run of the benchmarks tells: goals reached or missed, a page with its tables, charts that are well formed."""

from math import nan
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.calls import Timing
from benchmarks.contestants import WORKER
from benchmarks.goals import Goal, goals
from benchmarks.report.machine import Machine
from benchmarks.report.page import Run, table
from benchmarks.report.svg import svg
from benchmarks.section import Chart, Section
from benchmarks.topics.backlog import thirds_of
from benchmarks.topics.latency import CARRIED, HALF_LOAD, at_load

MACHINE = Machine("2026-01-01", "a processor", 2, 8.0, "Linux", {"Python": "3.11"}, "private", 0.1)


def section(**changes: object) -> Section:
    given = {"name": "creates", "title": "T", "says": "S.", "head": ("who", "rate"), "rows": (("us", "5"),)}
    return Section(**{**given, "figures": {}, **changes})  # type: ignore[arg-type]  # a test's shorthand


def test_a_goal_is_reached_missed_or_not_measured() -> None:
    assert Goal("", 0.7, 0.7).verdict == "reached"
    assert Goal("", 0.7, 0.69).verdict == "missed"
    assert Goal("", 20, 19, at_most=True).verdict == "reached"
    assert Goal("", 20, 21, at_most=True).verdict == "missed"
    assert {goal.verdict for goal in goals({})} == {"not measured"}


def test_goals_find_their_figures() -> None:
    """Under the names that the parts of a run write."""
    timings = {at_load(HALF_LOAD, WORKER): Timing(100, 1, 2, 3), at_load(CARRIED, WORKER): Timing(200, 1, 2, 3)}
    found = goals(
        {
            "creates": {
                "to_hand_written": 0.8,
                "to_textbook": 3,
                "to_best_peer": 1.5,
                "two_to_one": 1.1,
                "best_to_best": 0.9,
            },
            "http": {"creates_per_second": 100},
            "batches": {"times": {"1000": 12}},
            "latency": {"timings": timings},
            "backlog": {"rates": [100, 99], "resident_bytes": [10, 10, 10]},
            "full_tables": {"ratio": 0.95},
        }
    )
    assert {goal.verdict for goal in found} == {"reached"}


def test_a_backlog_that_becomes_slower_misses_its_goal_and_one_slow_tenth_does_not() -> None:
    def verdict_of(*rates: float) -> str:
        (goal,) = (one for one in goals({"backlog": {"rates": list(rates)}}) if "backlog, of the first" in one.says)
        return goal.verdict

    assert verdict_of(10, 10, 10, 10, 10, 10, 8, 8, 10) == "missed"
    assert verdict_of(10, 10, 10, 10, 10, 10, 10, 10, 5) == "reached"


def test_a_chart_is_well_formed_whatever_the_names_and_values() -> None:
    bars = (("a <b> & c", (2.0, 1.0)), ("nothing", (nan, 0.0)))
    root = ET.fromstring(svg(Chart("x", "T & T", "µs", bars, ("one", "two"))))  # noqa: S314 - our own
    widths = [
        float(bar.attrib["width"]) for bar in root.iter("{http://www.w3.org/2000/svg}rect") if bar.get("height") == "20"
    ]
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.1)
    assert widths[2:] == [0, 0]


def test_the_page_names_command_machine_date_and_who_is_missing(tmp_path: Path) -> None:
    chart = Chart("creates", "Heroes", "per second", (("us", (5.0,)),))
    left_out = {"celery": "not installed: celery\nmore"}
    Run("make it", MACHINE, [section(charts=(chart,), left_out=left_out)]).write(tmp_path)
    page = (tmp_path / "performance.md").read_text()
    for words in ("$ make it", "2026-01-01", "a processor", "| us | 5 |", "**celery** has no figure: not installed"):
        assert words in page
    assert "worth little" not in page
    assert (tmp_path / "performance" / "creates.svg").exists()
    assert b'"left_out"' in (tmp_path / "performance" / "figures.json").read_bytes()


def test_a_machine_that_was_busy_is_said_to_have_been() -> None:
    busy = Machine("2026-01-01", "a processor", 2, 8.0, "Linux", {}, "private", load_before=1.5)
    assert busy.was_busy
    assert not MACHINE.was_busy


def test_a_table_in_markdown() -> None:
    assert list(table(("a", "b"), [("1", "2")])) == ["| a | b |", "|---|---:|", "| 1 | 2 |"]


def test_the_thirds_of_a_backlog_are_what_its_table_and_its_goal_compare() -> None:
    assert thirds_of([693, 601, 595, 616, 621, 590, 566, 637, 611]) == (601, 616, 611)
    assert thirds_of([5]) == (5, 5, 5)
