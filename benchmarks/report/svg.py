"""Bar charts as SVG, readable on a light and on a dark page.

Invariant: no library, no script, no font of its own: a file that any browser and GitHub show.
"""

from collections.abc import Iterator
from html import escape
from math import isnan

from benchmarks.section import Chart, number

_WIDTH, _LABELS, _VALUES = 860, 250, 110
_BAR, _GAP, _HEAD = 20, 8, 54
_COLOURS = ("#3b82f6", "#f59e0b", "#10b981")
_INK = "#808890"  # a grey that stands out on white and on black


def svg(chart: Chart) -> str:
    """The whole file."""
    height = _HEAD + len(chart.bars) * (_BAR + _GAP) + _GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img"'
        f' font-family="system-ui, sans-serif" font-size="13" fill="{_INK}">\n'
        f"<title>{escape(chart.title)}</title>\n" + "\n".join(_parts(chart)) + "\n</svg>\n"
    )


def _parts(chart: Chart) -> Iterator[str]:
    yield _text(0, 18, f"{chart.title}, {chart.unit}", weight="bold")
    for place, part in enumerate(chart.parts):
        left = _LABELS + place * 110
        yield f'<rect x="{left}" y="28" width="12" height="12" fill="{_COLOURS[place]}"/>'
        yield _text(left + 18, 39, part)
    largest = max((_sum(values) for _, values in chart.bars), default=0) or 1
    scale = (_WIDTH - _LABELS - _VALUES) / largest
    for place, (name, values) in enumerate(chart.bars):
        yield from _bar(_HEAD + place * (_BAR + _GAP), name, values, scale)


def _bar(top: int, name: str, values: tuple[float, ...], scale: float) -> Iterator[str]:
    yield _text(_LABELS - 10, top + 15, name, anchor="end")
    left = float(_LABELS)
    for colour, value in zip(_COLOURS, values, strict=False):
        width = max(value, 0) * scale if not isnan(value) else 0
        yield f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>'
        left += width
    yield _text(left + 8, top + 15, number(_sum(values), 0 if _sum(values) >= 10 else 1))


def _sum(values: tuple[float, ...]) -> float:
    """Without what could not be measured."""
    return sum(value for value in values if not isnan(value))


def _text(left: float, top: float, words: str, *, anchor: str = "start", weight: str = "normal") -> str:
    place = f'x="{left:.1f}" y="{top}" text-anchor="{anchor}" font-weight="{weight}"'
    return f"<text {place}>{escape(words)}</text>"
