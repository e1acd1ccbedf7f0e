"""Creating heroes from queued commands: the worker in several settings, the hand-written limit and the peers."""

from benchmarks.arena import Arena
from benchmarks.bench import Bench
from benchmarks.contestants import HAND_WRITTEN, TWO_PROCESSES, WORKER, Contestant
from benchmarks.field import LEAN_PEERS, PEERS, TEXTBOOK, hand_written, ours_at
from benchmarks.race import Turn
from benchmarks.section import Chart, Section, mebibytes, number
from benchmarks.tournament import Tally, tournament

_PARTS = ("worker", "database", "broker")
_SHOWN = ("program", *_PARTS[1:])
_SAYS = (
    "One command creates one hero. Ours, the hand-written loop and the peers with inbox and event do this: transaction,"
    " an inbox that keeps a repeat without effect, confirmed event, ack afterwards; a referee counts rows and events."
    " The peers without do less. Commands stand in quorum queues for ours, the loop and taskiq, in classic ones for"
    " the others. What each leaves out is told. CPU time is of one command. Memory that forks share counts in each."
)


async def measure(bench: Bench) -> Section:
    """The rates of everybody, in the same rounds."""
    entries = _entries(bench)
    async with bench.arena() as arena:
        tally = await tournament(bench, _turns(arena, entries, bench.scale.commands), bench.scale.rounds)
    there = [one for one in entries if one.name in tally.names]
    shown = sorted(there, key=lambda one: tally.median(one.name).per_second, reverse=True)
    return Section(
        name="creates",
        title="Creating heroes",
        says=_SAYS,
        head=(
            "who",
            "per second",
            "of hand-written",
            "CPU µs",
            *(f"{part} µs" for part in _SHOWN),
            "peak memory",
        ),
        rows=tuple(_row(one, tally) for one in shown),
        figures=_figures(tally, entries),
        charts=_charts(tally, shown),
        notes=tuple(f"{one.name} leaves out: {one.leaves_out}." for one in shown if one.leaves_out),
        left_out=tally.left_out,
        failed=tally.failed,
    )


def _entries(bench: Bench) -> list[Contestant]:
    scale = bench.scale
    processes = [TWO_PROCESSES, *map(hand_written, scale.hand_written_processes)]
    # What goals compare stands side by side: the machine is not the same a minute later.
    return [*LEAN_PEERS, *PEERS, WORKER, HAND_WRITTEN, *processes, *map(ours_at, scale.concurrencies)]


def _turns(arena: Arena, entries: list[Contestant], count: int) -> list[Turn]:
    return [Turn(arena, one, count) for one in entries]


def _row(one: Contestant, tally: Tally) -> tuple[str, ...]:
    figure = tally.median(one.name)
    return (
        one.name,
        number(figure.per_second),
        number(tally.ratio(one.name, HAND_WRITTEN.name), 2),
        number(figure.cpu.total),
        *(number(getattr(figure.cpu, part)) for part in _PARTS),
        mebibytes(figure.peak_bytes),
    )


def _figures(tally: Tally, entries: list[Contestant]) -> dict[str, object]:
    ours = [WORKER.name, TWO_PROCESSES.name]  # numbers of processes: the loop has one concurrency, too
    limits = [one.name for one in entries if one.name.startswith(HAND_WRITTEN.name)]
    peer, lean = (tally.best([one.name for one in peers]) for peers in (PEERS, LEAN_PEERS))
    return {
        "contestants": tally.document(),
        "ratios": tally.ratios(WORKER.name, HAND_WRITTEN.name),
        "to_hand_written": tally.ratio(WORKER.name, HAND_WRITTEN.name),
        "to_textbook": tally.ratio(WORKER.name, TEXTBOOK.name),
        "best_peer": peer,
        "to_best_peer": tally.ratio(WORKER.name, peer),
        "two_to_one": tally.ratio(TWO_PROCESSES.name, WORKER.name),
        "best_lean_peer": lean,
        "to_best_lean_peer": tally.ratio(WORKER.name, lean),
        "best_to_best": tally.ratio(tally.best(ours), tally.best(limits)),
    }


def _charts(tally: Tally, shown: list[Contestant]) -> tuple[Chart, ...]:
    middle = [(one.name, tally.median(one.name)) for one in shown]
    rates = tuple((name, (figure.per_second,)) for name, figure in middle)
    costs = tuple((name, tuple(getattr(figure.cpu, part) for part in _PARTS)) for name, figure in middle)
    return (
        Chart("creates", "Heroes created from queued commands", "commands/s", rates),
        Chart("cpu", "CPU time of one command", "µs", costs, _SHOWN),
    )
