"""The page docs/performance.md, its charts and the JSON file, written from one run; docs/scaling.md gets its points.

Invariant: no figure stands without the command, the machine and the date that it belongs to.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from benchmarks.goals import Goal, goals
from benchmarks.report.machine import Machine
from benchmarks.report.svg import svg
from benchmarks.scale_model import points_of
from benchmarks.scale_tables import renewed
from benchmarks.section import Section

_GOAL_HEAD = ("goal", "wanted", "measured", "")


@dataclass(frozen=True, slots=True)
class Run:
    """One run: what was typed, where, and what it found."""

    command: str
    machine: Machine
    sections: Sequence[Section]

    @property
    def goals(self) -> tuple[Goal, ...]:
        """What was wanted, beside what this run found."""
        return goals({section.name: section.figures for section in self.sections})

    def document(self) -> bytes:
        """Everything, as JSON; what could not be measured is null."""
        found: dict[str, Any] = {
            "command": self.command,
            "machine": self.machine,
            "goals": self.goals,
            "sections": {
                one.name: {"figures": one.figures, "left_out": one.left_out, "failed": one.failed}
                for one in self.sections
            },
        }
        return orjson.dumps(found, option=orjson.OPT_INDENT_2)

    def write(self, docs: Path) -> None:
        """The page, its charts and the JSON file stand in this folder."""
        charts = docs / "performance"
        charts.mkdir(parents=True, exist_ok=True)
        for old in charts.glob("*.svg"):
            old.unlink()
        for section in self.sections:
            for chart in section.charts:
                (charts / f"{chart.name}.svg").write_text(svg(chart))
        (charts / "figures.json").write_bytes(self.document() + b"\n")
        (docs / "performance.md").write_text("\n".join(self._lines()) + "\n")
        scaling = docs / "scaling.md"
        if scaling.exists():
            scaling.write_text(renewed(scaling.read_text(), points_of(orjson.loads(self.document()))))

    def _lines(self) -> Iterator[str]:
        yield "# Performance"
        yield "\nWritten by the command below, figures and all. What is compared in a table takes turns on the same"
        yield "machine: read the ratios, the rates are the machine's, which may be another one in the next table."
        yield "A rate is the median of its rounds, a ratio the median of the rounds' ratios.\n"
        yield f"```console\n$ {self.command}\n```\n"
        yield from (f"- {line}" for line in self.machine.lines())
        if self.machine.was_busy:
            yield "\n**The machine had other work when this run began: these figures are worth little.**"
        yield "\n## Goals\n"
        yield from table(_GOAL_HEAD, [goal.cells() for goal in self.goals])
        for section in self.sections:
            yield from _section(section)
        yield "\nEverything, round by round: [figures.json](performance/figures.json). What it means for larger"
        yield "installations: [scaling.md](scaling.md). Where a command's time goes, what was tried, and what a missed"
        yield "goal means: [speed.md](speed.md)."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """In Markdown; figures stand to the right."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join('---' if place == 0 else '---:' for place in range(len(head)))}|"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _section(section: Section) -> Iterator[str]:
    yield f"\n## {section.title}\n"
    yield f"{section.says}\n"
    if section.rows:
        yield from table(section.head, section.rows)
    yield from ("", *(f"- {note}" for note in section.notes)) if section.notes else ()
    for chart in section.charts:
        yield f"\n![{chart.title}](performance/{chart.name}.svg)"
    for name, why in {**section.left_out, **section.failed}.items():
        yield f"\n**{name}** has no figure: {why.splitlines()[0]}"
