"""Every alert leads to a chapter of the runbook that says what it means, how to look and how to mend."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
RULES = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())["groups"]
LINKS = {rule["alert"]: rule["annotations"]["runbook_url"] for group in RULES for rule in group["rules"]}
LEAST_WORDS = 40


def chapters(text: str) -> dict[str, str]:
    """What stands under each heading of the second level, by the anchor that GitHub gives it."""
    parts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)[1:]
    return {anchor(heading): body for heading, body in zip(parts[::2], parts[1::2], strict=True)}


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


CHAPTERS = chapters(RUNBOOK)


@pytest.mark.parametrize("alert", LINKS)
def test_every_alert_has_a_chapter_that_says_what_it_means_how_to_look_and_how_to_mend(alert: str) -> None:
    where, _, target = LINKS[alert].partition("#")
    assert where == "docs/runbook.md"
    chapter = CHAPTERS[target]
    assert len(chapter.split()) >= LEAST_WORDS
    for part in ("**What it means.**", "**How to look", "ow to mend"):
        assert part in chapter, part


def test_every_link_inside_the_runbook_leads_somewhere() -> None:
    targets = re.findall(r"\]\(#([^)]+)\)", RUNBOOK)
    assert targets
    assert [target for target in targets if target not in CHAPTERS] == []


def test_every_link_to_the_runbook_leads_somewhere() -> None:
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"runbook\.md#([\w-]+)", path.read_text()):
            assert target in CHAPTERS, path.name


def test_no_sample_is_left_out() -> None:
    assert re.findall(r"^```\w*\n(?:\s*|@.*\n)```$", RUNBOOK, re.MULTILINE) == []


def test_a_link_that_leads_nowhere_would_be_found() -> None:
    """The positive control."""
    assert chapters("# Title\n\n## Gate closed: why?\n\ntext\n") == {"gate-closed-why": "\ntext\n"}
