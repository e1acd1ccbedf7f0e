"""What the demonstration looks like: headings, steps with their time, and the marks that stand before a result.

Invariant: it shows what it is given and decides nothing; without a terminal it is plain text of 80 columns.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

WIDEST = 110
STEPS = ("decode", "claim", "apply", "record", "publish", "settle")
WHAT_NEXT = (
    ("make run", "the same services and a worker that stays, to play with"),
    ("make test", "the whole suite on real services"),
    ("README.md", "what is promised, how it works, how to run it, how to put your own entity in"),
    ("worker/pipeline.py", "the six steps: start reading here"),
)


@dataclass(slots=True)
class Step:
    """One step under way; `done` is what it says when it has succeeded."""

    screen: "Screen"
    done: str
    began: float = field(default_factory=time.monotonic)

    def say(self, line: str) -> None:
        """A line about something that takes its time."""
        self.screen.console.print(Text(f"  · {line}", style="dim"))


class Screen:
    """A newcomer's terminal, or a log."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, emoji=False)
        self.console.width = min(self.console.width, WIDEST)

    def title(self) -> None:
        """What this is, in three lines."""
        flow = Text(" → ").join(Text(step, style="bold cyan") for step in STEPS)
        promise = Text("Each command takes effect exactly once and in order, and nothing is lost.\n\n")
        self.console.print(Panel(Text.assemble(promise, flow), title="[bold]heroes-worker[/]", box=box.ROUNDED))

    def heading(self, text: str) -> None:
        """A new chapter."""
        self.console.print()
        self.console.rule(f"[bold]{text}[/]", align="left", style="dim")

    @contextmanager
    def step(self, doing: str, done: str) -> Iterator[Step]:
        """A spinner while it lasts, then a mark, what was done, and how long it took."""
        step = Step(self, done)
        with self.console.status(f"{doing} …"):
            yield step
        self.well(step.done, f"{time.monotonic() - step.began:.1f} s")

    def end_live(self) -> None:
        """The next line stands below what was shown live; without a terminal its end is missing."""
        if not self.console.is_interactive:
            self.console.print()

    def well(self, text: str, aside: str = "") -> None:
        """Something was done or found to be as promised."""
        line = Table.grid(padding=(0, 1), expand=True)
        line.add_column(width=1)
        line.add_column(ratio=1)
        line.add_column(justify="right", style="dim", no_wrap=True)
        line.add_row(Text("✓", style="bold green"), Text(text), aside)
        self.console.print(line)

    def failed(self, text: str) -> None:
        """Why the demonstration ends here."""
        self.console.print(Text(f"\n✗ {text}", style="bold red"))

    def log(self, name: str, lines: str) -> None:
        """The end of somebody's log."""
        self.console.print(Panel(Text(lines), title=f"the end of the {name}'s log", border_style="red"))

    def what_next(self, seconds: float, gone: str) -> None:
        """The end of the demonstration."""
        self.heading("What next")
        table = Table.grid(padding=(0, 2))
        for what, why in WHAT_NEXT:
            table.add_row(Text(what, style="bold cyan"), why)
        self.console.print(table)
        self.console.print()
        self.well(f"{gone} Nothing is left running.", f"{seconds:.0f} s in all")


def table(*headers: str, right: tuple[str, ...] = ()) -> Table:
    """The one look that all tables share."""
    made = Table(box=box.SIMPLE_HEAD, expand=True, header_style="dim", padding=(0, 1), show_edge=False)
    for header in headers:
        made.add_column(header, justify="right" if header in right else "left", no_wrap=header in right)
    return made


def progress(console: Console) -> Progress:
    """A bar with its count and its time."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None, complete_style="cyan", finished_style="green"),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        expand=True,
    )


def short(identity: str) -> str:
    """Enough of an id to tell it from its neighbours."""
    return f"{identity[:8]}…"
