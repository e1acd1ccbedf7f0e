"""What a drill prints: every line with the seconds since the drill began; nothing private, and no table in full."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.faults.clock import Clock

INDENT = " " * 12
MOST_LINES, MOST_QUEUES = 16, 3
WIDEST = 400


@dataclass(slots=True)
class Screen:
    """`instead` has for each private text what is printed in its place."""

    clock: Clock = field(default_factory=Clock)
    instead: Mapping[str, str] = field(default_factory=dict)
    _is_silent: bool = True

    def title(self, text: str) -> None:
        """A drill, whose time begins now; what was said before is nobody's concern."""
        self.clock, self._is_silent = Clock(), False
        _print(f"\n=== {text} ===")

    def says(self, text: str) -> None:
        """Something happened."""
        if not self._is_silent:
            _print(f"{self.clock.now:8.1f} s  {self._public(text)}")

    def typed(self, command: str, answer: Sequence[str]) -> None:
        """An operator's command and what it answered."""
        self.says(f"$ {command}")
        for line in answer[:MOST_LINES]:
            _print(f"{INDENT}{self._public(line)[:WIDEST]}")
        if len(answer) > MOST_LINES:
            _print(f"{INDENT}… {len(answer) - MOST_LINES} more lines")

    def _public(self, text: str) -> str:
        for private, public in self.instead.items():
            text = text.replace(private, public)
        return re.sub(r"://[^/@\s]+:[^/@\s]+@", "://…@", text)


def busy_queues(lines: Sequence[str]) -> Sequence[str]:
    """Of `heroes queues`: the fullest, the dead letters, the lines around the table, and how many others there are."""
    rows = [line for line in lines if line.startswith("heroes.")]
    fullest = sorted(rows, key=_depth, reverse=True)[:MOST_QUEUES]
    shown = [line for line in lines if line not in rows or line in fullest or line.startswith("heroes.dead_letters")]
    hidden = [row for row in rows if row not in shown]
    if not hidden:
        return shown
    return [*shown, f"(left out: {len(hidden)} more queues with {sum(map(_depth, hidden))} messages)"]


def _depth(row: str) -> int:
    return sum(int(cell) for cell in row.split()[1:3] if cell.isdigit())


def _print(line: str) -> None:
    print(line, flush=True)
