"""The same tables for a terminal."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.report.page import Run

_STYLES = {"reached": "green", "missed": "red", "not measured": "dim"}


def show(run: Run, console: Console) -> None:
    """Every section and the goals stand on the console."""
    for line in (run.command, *run.machine.lines()):
        console.print(line, style="dim", markup=False, highlight=False)
    for section in run.sections:
        console.print(_table(section.title, section.head, section.rows))
        for note in (section.says, *section.notes):
            console.print(note, style="dim", markup=False, highlight=False)
        for name, why in {**section.left_out, **section.failed}.items():
            console.print(f"{name} has no figure: {why}", style="red", markup=False)
    known = [goal.cells() for goal in run.goals if goal.verdict != "not measured"]
    console.print(_table("Goals", ("goal", "wanted", "measured", ""), known))
    if run.machine.was_busy:
        console.print("The machine had other work when this run began: these figures are worth little.", style="red")


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    shown = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for place, heading in enumerate(head):
        shown.add_column(heading, justify="left" if place == 0 else "right", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    return shown
