"""The scale model's answers as Markdown, and their place in docs/scaling.md.

Invariant: what stands outside the markers is a person's and is left alone.
"""

from collections.abc import Iterator
from dataclasses import fields

from benchmarks.scale_model import (
    ASSUMED,
    INSTALLATIONS,
    POINTS,
    Points,
    disk_gigabytes,
    key_fits_until,
    next_worker_helps,
    walls,
)
from benchmarks.section import number

BEGIN, END = "<!-- written by the model -->", "<!-- end of the model -->"
_DAYS = 7
_RATES = (100, 1000, 5000)
_MEMORIES_GB = (8, 32, 128)
_MEANS = {
    "usable_share": "of a server's cores; above it queues grow",
    "commits_for_one_fsync": "commits that share one flush under load",
    "queue_per_second": "commands/s through one quorum queue, which is one core",
    "node_factor": "times the broker's CPU, summed over three nodes",
    "stored_overhead": "bytes in the event log for each byte of an event",
}


def tables(points: Points) -> Iterator[str]:
    """Points, walls and disks."""
    yield "| point | value | |"
    yield "|---|---:|---|"
    for field in fields(points):
        value = getattr(points, field.name)
        yield f"| {field.name.replace('_', ' ')} | {number(value)} | {_origin(field.name, value)} |"
    for field in fields(ASSUMED):
        value = f"{getattr(ASSUMED, field.name):,g}".replace(",", " ")
        yield f"| {field.name.replace('_', ' ')} | {value} | assumed: {_MEANS[field.name]} |"
    cores = "workers | database cores | broker cores"
    yield f"\n| installation | {cores} | commands/s | first wall | then | one more worker |"
    yield "|---|---:|---:|---:|---:|---|---|---|"
    for one in INSTALLATIONS:
        first, second, *_ = walls(one, points)
        helps = "helps" if next_worker_helps(one, points) else "does not help"
        then = f"{second.name} at {number(second.per_second)}"
        cores = f"{one.workers} | {one.database_cores} | {one.broker_nodes} x {one.broker_cores}"
        yield f"| {one.name} | {cores} | {number(first.per_second)} | {first.name} | {then} | {helps} |"
    yield f"\n| day and night | after {_DAYS} days, inbox and event log |"
    yield "|---|---:|"
    yield from (f"| {number(rate)} commands/s | {number(disk_gigabytes(rate, _DAYS, points))} GB |" for rate in _RATES)
    yield f"\n| memory for the inbox's key | stays inside until, at {_DAYS} days |"
    yield "|---|---:|"
    yield from (
        f"| {number(size)} GB | {number(key_fits_until(size, _DAYS, points))} commands/s |" for size in _MEMORIES_GB
    )


def renewed(page: str, points: Points) -> str:
    """The page with these answers between its markers. Raises: ValueError if it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page should hold {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n" + "\n".join(tables(points)) + f"\n\n{END}{after}"


def _origin(name: str, value: float) -> str:
    return "measured, on a busy machine" if value == getattr(POINTS, name) else "measured"
