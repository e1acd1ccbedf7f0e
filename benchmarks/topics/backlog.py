"""A long backlog: whether the rate stays and the memory does not grow from its beginning to its end."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from benchmarks.bench import Bench
from benchmarks.contestants import WORKER, WrongError
from benchmarks.race import Mark, Turn, watched
from benchmarks.section import Chart, Section, mebibytes, number

_TENTHS = 10
_MARK_EVERY_SECONDS = 0.5


async def measure(bench: Bench) -> Section:
    """The rate in each tenth but the first, which is warm-up, and the worker's memory on the way."""
    count = bench.scale.backlog
    marks: list[Mark] = []
    failed: dict[str, str] = {}
    async with bench.arena() as arena:
        bench.say(f"backlog: {count} commands")
        try:
            turn = Turn(arena, WORKER, count, mark_every_seconds=_MARK_EVERY_SECONDS, warm_up_share=1 / _TENTHS)
            _, marks = await watched(turn)
        except WrongError as error:
            failed[WORKER.name] = str(error)
    return _section(count, marks, failed)


def _section(count: int, marks: Sequence[Mark], failed: dict[str, str]) -> Section:
    rates = [_rate(marks, count, tenth) for tenth in range(1, _TENTHS)] if marks else []
    memory = [_near(marks, count * share).resident_bytes for share in (0.1, 0.5, 1)] if marks else []
    thirds = [number(rate) for rate in thirds_of(rates)] if marks else []
    return Section(
        name="backlog",
        title=f"A backlog of {number(count)} commands",
        says="Drained by one worker process. The first tenth is warm-up. A rate is the middle of a third's tenths;"
        " memory is that of the moment.",
        head=("", "beginning", "middle", "end"),
        rows=(("commands/s", *thirds), ("memory", *map(mebibytes, memory))) if marks else (),
        figures={"commands": count, "rates": rates, "resident_bytes": memory},
        charts=(Chart("backlog", "Rate in each tenth of a backlog", "commands/s", _bars(rates)),) if marks else (),
        failed=failed,
    )


def thirds_of(rates: Sequence[float]) -> tuple[float, float, float]:
    """The medians of the first third of these, of the rest between, and of the last third."""
    third = max(len(rates) // 3, 1)
    first, last = median(rates[:third]), median(rates[-third:])
    return first, median(rates[third:-third] or [first]), last


def _bars(rates: Sequence[float]) -> tuple[tuple[str, tuple[float, ...]], ...]:
    return tuple((f"{tenth * 10} to {tenth * 10 + 10} %", (rate,)) for tenth, rate in enumerate(rates, 1))


def _rate(marks: Sequence[Mark], count: int, tenth: int) -> float:
    first, last = (_clock(marks, count * share / _TENTHS) for share in (tenth, tenth + 1))
    return count / _TENTHS / (last - first) if last > first else float("nan")


def _clock(marks: Sequence[Mark], done: float) -> float:
    """When so much was done, on the straight line between the looks before and after."""
    for before, after in pairwise(marks):
        if after.done >= done and after.done > before.done:
            return before.clock + (done - before.done) / (after.done - before.done) * (after.clock - before.clock)
    return marks[-1].clock


def _near(marks: Sequence[Mark], done: float) -> Mark:
    return min(marks, key=lambda mark: abs(mark.done - done))
