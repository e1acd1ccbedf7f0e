"""The scale model: walls are plain products, the nearest one decides, and a page keeps what a person wrote."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.scale_model import (
    ASSUMED,
    POINTS,
    Installation,
    Points,
    disk_gigabytes,
    key_fits_until,
    next_worker_helps,
    points_of,
    walls,
)
from benchmarks.scale_tables import BEGIN, END, renewed

EASY = Points(1000, 500, 250, 10, 1000, 50, 400)
WIDE = Installation("wide", workers=4, database_cores=100, broker_cores=100)


def test_workers_are_the_wall_while_the_servers_have_room() -> None:
    first = walls(WIDE, EASY)[0]
    assert (first.name, first.per_second) == ("workers", 4000)
    assert next_worker_helps(WIDE, EASY)


def test_more_workers_than_slots_stand_by() -> None:
    crowded = replace(WIDE, workers=40)
    assert walls(crowded, EASY)[0].per_second == 16_000
    assert not next_worker_helps(crowded, EASY)
    assert next_worker_helps(replace(crowded, slots=64), EASY)


@pytest.mark.parametrize(
    ("changes", "wall"),
    [
        ({"database_cores": 1}, "database: CPU"),
        ({"broker_cores": 1}, "broker: CPU"),
        ({"workers": 1, "slots": 2}, "workers"),
        ({"workers": 2, "slots": 2}, "slots"),
    ],
)
def test_the_scarcest_resource_is_the_first_wall(changes: dict[str, int], wall: str) -> None:
    assert walls(replace(WIDE, **changes), EASY)[0].name == wall  # type: ignore[arg-type]  # only numbers here


def test_a_slow_disk_is_a_wall_that_no_core_passes() -> None:
    slow = replace(EASY, fsync_microseconds=10_000)
    assert walls(replace(WIDE, workers=16), slow)[0] == walls(WIDE, slow)[0]
    assert walls(WIDE, slow)[0].name == "database: fsync"


def test_three_nodes_carry_more_than_one_though_each_command_costs_more() -> None:
    one, three = (dict(_rates(replace(WIDE, broker_nodes=nodes)))["broker: CPU"] for nodes in (1, 3))
    assert three == pytest.approx(one * 3 / ASSUMED.node_factor)


def _rates(installation: Installation) -> list[tuple[str, float]]:
    return [(wall.name, wall.per_second) for wall in walls(installation, EASY)]


def test_disk_and_memory_grow_with_the_rate_and_the_days() -> None:
    assert disk_gigabytes(1000, 1, EASY) == pytest.approx(1000 * 86_400 * (1000 + 50 + 600) / 1e9)
    assert key_fits_until(8, 7, EASY) == pytest.approx(8e9 / (50 * 7 * 86_400))


def test_points_come_from_a_run_and_what_it_did_not_measure_stays() -> None:
    cpu = {"worker": 111.0, "database": 222.0, "broker": None}
    creates = {"figures": {"contestants": {"heroes worker": {"cpu": cpu}}}}
    found = points_of({"sections": {"creates": creates, "disk": {"figures": {"inbox_row_bytes": 333.0}}}})
    assert (found.worker_microseconds, found.database_microseconds, found.inbox_row_bytes) == (111, 222, 333)
    assert found.broker_microseconds == POINTS.broker_microseconds


def test_the_page_keeps_what_stands_outside_the_markers() -> None:
    page = renewed(f"before\n{BEGIN}\nold\n{END}\nafter\n", EASY)
    assert page.startswith("before\n")
    assert page.endswith("\nafter\n")
    assert "old" not in page
    assert renewed(page, EASY) == page


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="should hold"):
        renewed("no markers", EASY)


def test_the_committed_page_has_its_markers() -> None:
    page = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text()
    assert renewed(page, POINTS)
