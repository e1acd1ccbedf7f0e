"""Heroes a second through `hero.batch`, against one command for each hero."""

from benchmarks.bench import Bench
from benchmarks.contestants import WORKER
from benchmarks.race import Turn
from benchmarks.section import Chart, Section, number
from benchmarks.tournament import label, tournament
from benchmarks.work import CREATE, batch_of

_FEWEST_COMMANDS = 10


async def measure(bench: Bench) -> Section:
    """The rates for each size, in the same rounds."""
    scale = bench.scale
    kinds = {1: CREATE, **{size: batch_of(size) for size in scale.batch_sizes}}
    async with bench.arena() as arena:
        counts = {size: max(scale.batch_heroes // size, _FEWEST_COMMANDS) for size in kinds} | {1: scale.commands}
        turns = {size: Turn(arena, WORKER, counts[size], kind) for size, kind in kinds.items()}
        tally = await tournament(bench, list(turns.values()), scale.kind_rounds)
    names = {size: label(one) for size, one in turns.items() if label(one) in tally.names}
    rates = {size: tally.median(name).per_second * size for size, name in names.items()}
    times = {size: tally.ratio(name, WORKER.name) * size for size, name in names.items()}
    rows = ((number(size), number(rate), f"{number(times[size], 1)} times") for size, rate in rates.items())
    bars = tuple((f"{size} in a command", (rate,)) for size, rate in rates.items())
    return Section(
        name="batches",
        title="Batches",
        says="Heroes created by `hero.batch`, all or nothing in one transaction, one event for each hero.",
        head=("heroes in a command", "heroes/s", "against single commands"),
        rows=tuple(rows),
        figures={"heroes_per_second": _by_name(rates), "times": _by_name(times)},
        charts=(Chart("batches", "Heroes created through batches", "heroes/s", bars),),
        left_out=tally.left_out,
        failed=tally.failed,
    )


def _by_name(values: dict[int, float]) -> dict[str, float]:
    return {str(size): value for size, value in values.items()}
