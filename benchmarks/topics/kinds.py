"""Updating and deleting beside creating: the worker against the hand-written loop."""

from benchmarks.bench import Bench
from benchmarks.contestants import HAND_WRITTEN, WORKER
from benchmarks.race import Turn
from benchmarks.section import Section, number
from benchmarks.tournament import Tally, label, tournament
from benchmarks.work import CREATE, DELETE, UPDATE, Kind

_KINDS = (CREATE, UPDATE, DELETE)


async def measure(bench: Bench) -> Section:
    """The rates of both for each kind of command, in the same rounds."""
    async with bench.arena() as arena:
        turns = [Turn(arena, one, bench.scale.commands, kind) for kind in _KINDS for one in (HAND_WRITTEN, WORKER)]
        tally = await tournament(bench, turns, bench.scale.kind_rounds)
        names = {kind: tuple(label(Turn(arena, one, 0, kind)) for one in (HAND_WRITTEN, WORKER)) for kind in _KINDS}
    return Section(
        name="kinds",
        title="Create, update, delete",
        says="Each update and delete is of a hero of its own. CPU time is of one of the worker's commands.",
        head=("command", "hand-written /s", "worker /s", "ratio", "program µs", "database µs", "broker µs"),
        rows=tuple(_row(kind, tally, *pair) for kind, pair in names.items() if set(pair) <= set(tally.names)),
        figures={"contestants": tally.document(), "ratios": {k.name: tally.ratio(b, a) for k, (a, b) in names.items()}},
        left_out=tally.left_out,
        failed=tally.failed,
    )


def _row(kind: Kind, tally: Tally, limit: str, ours: str) -> tuple[str, ...]:
    rates = (number(tally.median(one).per_second) for one in (limit, ours))
    cpu = tally.median(ours).cpu
    costs = map(number, (cpu.worker, cpu.database, cpu.broker))
    return (kind.name, *rates, number(tally.ratio(ours, limit), 2), *costs)
