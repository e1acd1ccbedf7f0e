"""The dashboard asks for figures that exist, and every panel can be understood without its author."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.figures import KNOWN, WORKER, asked_for

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboards" / "heroes-worker.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
SOURCE: dict[str, Any] = yaml.safe_load((FOLDER / "provisioning/datasources/prometheus.yml").read_text())


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_query_asks_for_figures_that_exist(panel: dict[str, Any]) -> None:
    assert panel["targets"]
    for target in panel["targets"]:
        asked = asked_for(target["expr"])
        assert asked
        assert asked <= KNOWN, target["expr"]


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_panel_has_a_title_a_unit_and_a_description(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert all(target["legendFormat"] for target in panel["targets"])


def test_every_figure_of_the_worker_stands_somewhere() -> None:
    asked = {name for panel in PANELS for target in panel["targets"] for name in asked_for(target["expr"])}
    assert set(WORKER) <= asked


def test_the_queries_go_to_the_source_that_is_provisioned() -> None:
    (source,) = SOURCE["datasources"]
    wanted = {"type": source["type"], "uid": source["uid"]}
    for panel in PANELS:
        assert all(
            one == wanted for one in (panel["datasource"], *(target["datasource"] for target in panel["targets"]))
        )


def test_no_two_panels_share_a_place_or_a_number() -> None:
    taken = set[tuple[int, int]]()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
