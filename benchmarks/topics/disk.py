"""What a command leaves on disk, and what it costs to be sure of it: the points that the scale model needs besides CPU.

Invariant: taken from tables and queues that real commands filled, and from the disk that the temporary folder is on.
"""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from benchmarks.arena import Arena
from benchmarks.bench import Bench
from benchmarks.contestants import HAND_WRITTEN, WrongError
from benchmarks.race import turn
from benchmarks.section import Section, number

_SYNCS = 200
_PAGE = b"x" * 8192
_SIZES = (
    "SELECT pg_table_size('inbox')::float / count(*) AS inbox_row_bytes,"
    " pg_relation_size('pk_inbox')::float / count(*) AS inbox_key_bytes, avg(length(events::text)) AS event_bytes,"
    " (SELECT pg_total_relation_size('hero')::float / greatest(count(*), 1) FROM hero) AS hero_bytes FROM inbox"
)


@dataclass(frozen=True, slots=True)
class Traces:
    """Bytes for each command, indexes and free space of half-filled pages included, and microseconds for one fsync."""

    inbox_row_bytes: float
    inbox_key_bytes: float
    event_bytes: float
    hero_bytes: float
    fsync_microseconds: float


async def measure(bench: Bench) -> Section:
    """The sizes after one turn of creates."""
    failed: dict[str, str] = {}
    traces = None
    async with bench.arena() as arena:
        try:
            await turn(arena, HAND_WRITTEN, bench.scale.commands)
            traces = await _traces(arena)
        except WrongError as error:
            failed[HAND_WRITTEN.name] = str(error)
    found = asdict(traces) if traces else {}
    return Section(
        name="disk",
        title="What a command leaves on disk",
        says="Of one create: table space with free space in pages, the inbox's key, its event; and one fsync of 8 KiB.",
        head=("what", "measured"),
        rows=tuple((name.replace("_", " "), number(value)) for name, value in found.items()),
        figures=found,
        failed=failed,
    )


async def _traces(arena: Arena) -> Traces:
    row = dict(await arena.database.fetchrow(_SIZES))
    return Traces(**{name: float(value) for name, value in row.items()}, fsync_microseconds=fsync_microseconds())


def fsync_microseconds() -> float:
    """The median of some hundred, each of one appended page, as a write-ahead log does it."""
    took = []
    with TemporaryDirectory() as folder, Path(folder, "log").open("wb", buffering=0) as log:
        for _ in range(_SYNCS):
            began = perf_counter()
            log.write(_PAGE)
            os.fdatasync(log.fileno())
            took.append(perf_counter() - began)
    return median(took) * 1e6
