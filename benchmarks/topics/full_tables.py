"""Whether millions of rows slow the worker: the same work beside empty tables and full ones, in the same rounds."""

from contextlib import AsyncExitStack
from dataclasses import replace

from benchmarks.bench import Bench
from benchmarks.contestants import WORKER
from benchmarks.race import Turn
from benchmarks.section import Section, number
from benchmarks.tournament import tournament


async def measure(bench: Bench) -> Section:
    """The rates on both, and their ratio."""
    rows = bench.scale.old_rows
    names = ("empty tables", f"{number(rows)} rows in each")
    async with AsyncExitStack() as stack:
        turns = []
        for name, old_rows in zip(names, (0, rows), strict=True) if rows else ():
            bench.say(f"full tables: preparing {name}")
            arena = await stack.enter_async_context(bench.arena(old_rows))
            turns.append(Turn(arena, replace(WORKER, name=name), bench.scale.commands))
        tally = await tournament(bench, turns, bench.scale.rounds if rows else 0)
    there = [name for name in names if name in tally.names]
    return Section(
        name="full_tables",
        title="Full tables",
        says="The worker creates heroes where heroes and inbox rows stand already." if rows else "Only in a full run.",
        head=("tables", "commands/s", "ratio"),
        rows=tuple((n, number(tally.median(n).per_second), number(tally.ratio(n, names[0]), 2)) for n in there),
        figures={"rows": rows, "contestants": tally.document(), "ratio": tally.ratio(names[1], names[0])},
        left_out=tally.left_out,
        failed=tally.failed,
    )
