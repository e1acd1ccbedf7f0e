"""Rounds in which everybody takes turns on the same work, so that a slow minute of the machine hits all alike.

Invariant: each round goes the other way than the one before, so that neighbours stay neighbours and nobody is always
first; ratios are taken within a round, and only then the median.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import nan
from statistics import median
from typing import Any

from benchmarks.bench import Bench
from benchmarks.contestants import Contestant, WrongError
from benchmarks.race import Figure, Turn, watched
from benchmarks.usage import Cpu


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of all rounds."""

    rounds: list[dict[str, Figure]] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Everybody with a figure."""
        return list(dict.fromkeys(name for figures in self.rounds for name in sorted(figures)))

    def median(self, name: str) -> Figure:
        """The middle of each thing measured."""
        figures = self._of(name)
        cpu = Cpu(*(median(getattr(one.cpu, part) for one in figures) for part in ("worker", "database", "broker")))
        rate, peak = median(one.per_second for one in figures), max(one.peak_bytes for one in figures)
        return Figure(name, rate, cpu, peak, sum(one.repeated for one in figures))

    def ratios(self, name: str, to: str) -> list[float]:
        """How many times as fast it was as the other one, round by round."""
        both = [figures for figures in self.rounds if name in figures and to in figures]
        return [figures[name].per_second / figures[to].per_second for figures in both]

    def ratio(self, name: str, to: str) -> float:
        """The middle of these ratios; NaN where one of the two has no figure."""
        return median(self.ratios(name, to) or [nan])

    def best(self, names: Sequence[str]) -> str:
        """The fastest of those that have a figure; empty where none has."""
        there = [name for name in names if self._of(name)]
        return max(there, key=lambda name: self.median(name).per_second, default="")

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {name: {**asdict(self.median(name)), "rounds": self._rates(name)} for name in self.names}

    def _of(self, name: str) -> list[Figure]:
        return [figures[name] for figures in self.rounds if name in figures]

    def _rates(self, name: str) -> list[float]:
        return [figure.per_second for figure in self._of(name)]


async def tournament(bench: Bench, turns: Sequence[Turn], rounds: int) -> Tally:
    """Everybody took a turn in every round, or is told of in `left_out` or `failed`."""
    tally = Tally()
    playing = [one for one in turns if not _is_left_out(one.contestant, tally)]
    for number in range(rounds):
        figures: dict[str, Figure] = {}
        for one in playing if number % 2 == 0 else playing[::-1]:
            name = label(one)
            try:
                figure, _ = await watched(one)
            except WrongError as error:
                (tally.left_out if one.contestant.is_peer else tally.failed)[name] = str(error)
                playing = [other for other in playing if other is not one]
                bench.say(f"round {number + 1}: {name} has no figure: {error}")
                continue
            figures[name] = figure
            bench.say(f"round {number + 1} of {rounds}: {name} {figure.per_second:.0f}/s")
        tally.rounds.append(figures)
    return tally


def label(one: Turn) -> str:
    """Who, and at what if it is not the usual work."""
    return one.contestant.name if one.kind.name == "create" else f"{one.contestant.name}, {one.kind.name}"


def _is_left_out(contestant: Contestant, tally: Tally) -> bool:
    missing = contestant.missing()
    if missing:
        tally.left_out[contestant.name] = f"not installed: {', '.join(missing)} (`make bench` installs it)"
    return bool(missing)
