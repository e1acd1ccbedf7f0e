"""`python -m benchmarks.scale_model [FIGURES.json]`: what an installation of so many workers, cores and disks can do.

Invariant: every number is marked as measured or assumed, and a wall is a plain product of them: no fitting, no magic.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import orjson

from contracts.channels import SLOTS

_SECOND = 1e6
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Points:
    """What one command costs and leaves behind, measured by `python -m benchmarks`; microseconds and bytes."""

    worker_microseconds: float
    database_microseconds: float
    broker_microseconds: float
    fsync_microseconds: float
    inbox_row_bytes: float
    inbox_key_bytes: float
    event_bytes: float


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What was not measured here; change one and look whether the first wall moves."""

    usable_share: float = 0.7
    """Of a server's cores: above it queues grow and the latency with them."""
    commits_for_one_fsync: float = 4.0
    """Commits that wait for the same flush, with sixteen at once; two at the least under load."""
    queue_per_second: float = 5000.0
    """Of one quorum queue, which is one Erlang process and one core."""
    node_factor: float = 1.8
    """CPU of the leader in a cluster of three, of the same command on one node; spread over the three."""
    stored_overhead: float = 1.5
    """Bytes in the event log for each byte of an event: properties, headers, framing."""


@dataclass(frozen=True, slots=True)
class Installation:
    """So many workers of one core each, and servers on machines of their own."""

    name: str
    workers: int
    database_cores: int
    broker_cores: int
    """Of each node."""
    broker_nodes: int = 1
    slots: int = SLOTS


@dataclass(frozen=True, slots=True)
class Wall:
    """A rate that one resource does not let through."""

    name: str
    per_second: float


# From a short run while the machine had other work, so on the careful side; a run with --write brings newer ones.
POINTS = Points(
    worker_microseconds=2300,
    database_microseconds=680,
    broker_microseconds=850,
    fsync_microseconds=260,
    inbox_row_bytes=1300,
    inbox_key_bytes=90,
    event_bytes=470,
)
ASSUMED = Assumptions()
INSTALLATIONS = (
    Installation("one worker", 1, 2, 2),
    Installation("four workers", 4, 4, 4),
    Installation("sixteen workers", 16, 8, 8),
    Installation("sixteen workers, three nodes", 16, 8, 8, broker_nodes=3),
    Installation("64 workers, 64 slots", 64, 32, 16, broker_nodes=3, slots=64),
)


def walls(one: Installation, points: Points = POINTS, assumed: Assumptions = ASSUMED) -> tuple[Wall, ...]:
    """Every wall of this installation, the nearest first."""
    share = assumed.usable_share
    nodes = 1 if one.broker_nodes == 1 else assumed.node_factor / one.broker_nodes
    found = (
        # A queue has one active consumer, so workers beyond the slots stand by.
        Wall(
            "workers" if one.workers < one.slots else "slots",
            min(one.workers, one.slots) * _SECOND / points.worker_microseconds,
        ),
        Wall("database: CPU", one.database_cores * share * _SECOND / points.database_microseconds),
        Wall("database: fsync", assumed.commits_for_one_fsync * _SECOND / points.fsync_microseconds),
        Wall("broker: CPU", one.broker_cores * share * _SECOND / (points.broker_microseconds * nodes)),
        Wall("broker: queues", one.slots * assumed.queue_per_second),
    )
    return tuple(sorted(found, key=lambda wall: wall.per_second))


def next_worker_helps(one: Installation, points: Points = POINTS, assumed: Assumptions = ASSUMED) -> bool:
    """One more worker raises what the installation can do."""
    more = walls(replace(one, workers=one.workers + 1), points, assumed)[0].per_second
    return more > walls(one, points, assumed)[0].per_second


def disk_gigabytes(per_second: float, days: float, points: Points = POINTS, assumed: Assumptions = ASSUMED) -> float:
    """What inbox and event log take after so many days at this rate, day and night."""
    each = points.inbox_row_bytes + points.inbox_key_bytes + points.event_bytes * assumed.stored_overhead
    return per_second * days * _DAY_SECONDS * each / 1e9


def key_fits_until(memory_gigabytes: float, days: float, points: Points = POINTS) -> float:
    """The rate up to which the inbox's key stays in so much memory; beyond it each claim reads the disk."""
    return memory_gigabytes * 1e9 / (points.inbox_key_bytes * days * _DAY_SECONDS)


def points_of(document: Mapping[str, Any], worker: str = "heroes worker") -> Points:
    """The points that a run found; where it did not look, those of the constant above."""
    sections = document["sections"]
    cpu = sections.get("creates", {}).get("figures", {}).get("contestants", {}).get(worker, {}).get("cpu", {})
    found = {f"{name}_microseconds": value for name, value in cpu.items()}
    found |= sections.get("disk", {}).get("figures", {})
    known = {field.name for field in fields(Points)}
    return replace(POINTS, **{name: value for name, value in found.items() if name in known and value is not None})


def main() -> None:
    """The tables stand on standard output, in Markdown."""
    from benchmarks.scale_tables import tables  # that room stands above this one

    points = points_of(orjson.loads(Path(sys.argv[1]).read_bytes())) if len(sys.argv) > 1 else POINTS
    sys.stdout.write("\n".join(tables(points)) + "\n")


if __name__ == "__main__":
    main()
