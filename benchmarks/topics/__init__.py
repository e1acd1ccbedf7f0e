"""The parts of a run, by name, in the order in which they are measured and shown."""

from collections.abc import Awaitable, Callable, Mapping

from benchmarks.bench import Bench
from benchmarks.section import Section
from benchmarks.topics import backlog, batches, creates, disk, full_tables, http, kinds, latency, queries

Measure = Callable[[Bench], Awaitable[Section]]

TOPICS: Mapping[str, Measure] = {
    "creates": creates.measure,
    "kinds": kinds.measure,
    "batches": batches.measure,
    "latency": latency.measure,
    "backlog": backlog.measure,
    "full_tables": full_tables.measure,
    "disk": disk.measure,
    "queries": queries.measure,
    "http": http.measure,
}
