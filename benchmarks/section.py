"""What one part of a run found out: a table, charts, figures for programs, and who is missing.

Invariant: whoever has no figure is named here with the reason, never left out in silence.
"""

from dataclasses import dataclass, field
from math import isnan
from typing import Any


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars beside each other; each bar is one value, or several that add up."""

    name: str
    title: str
    unit: str
    bars: tuple[tuple[str, tuple[float, ...]], ...]
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a run."""

    name: str
    title: str
    says: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    figures: dict[str, Any]
    charts: tuple[Chart, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    """Peers without a figure, and why."""
    failed: dict[str, str] = field(default_factory=dict)
    """Ours without a figure, and why: the run has failed."""


def number(value: float, digits: int = 0) -> str:
    """For a table; what could not be measured is a dash."""
    return "-" if isnan(value) else f"{value:,.{digits}f}".replace(",", " ")


def mebibytes(size: float) -> str:
    """For a table."""
    return f"{number(size / 2**20)} MiB"
