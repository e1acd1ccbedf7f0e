"""From a command's publication to its event, while commands come at half the rate that the worker can do.

Invariant: both take turns at the same rate, taken anew in each round: what was half the rate a minute ago may be too
much by now.
"""

import asyncio
import sys

import orjson

from benchmarks.arena import Arena
from benchmarks.bench import Bench
from benchmarks.calls import Timing
from benchmarks.contestants import HAND_WRITTEN, WORKER, Contestant, WrongError, environment, started
from benchmarks.race import turn
from benchmarks.section import Section

_BOTH = (HAND_WRITTEN, WORKER)


async def measure(bench: Bench) -> Section:
    """The percentiles of both; the median of each over the rounds."""
    rounds: list[dict[str, Timing]] = []
    failed: dict[str, str] = {}
    async with bench.arena() as arena:
        try:
            for at in range(bench.scale.latency_rounds):
                rounds.append(await _round(bench, arena, at))  # noqa: PERF401 - what was measured before a failure stays
        except WrongError as error:
            failed["a round"] = str(error)
    timings = {one.name: Timing.middle([each[one.name] for each in rounds]) for one in _BOTH if rounds}
    return Section(
        name="latency",
        title="From publication to event, at half load",
        says="A publisher in a process of its own sends half as many commands a second as the worker has just done,"
        " each at its moment, whether or not the ones before are done, and hears their events. The medians of"
        f" {len(rounds)} rounds.",
        head=("who", "events/s", "p50 ms", "p95 ms", "p99 ms"),
        rows=tuple((name, *timing.cells()) for name, timing in timings.items()),
        figures={"timings": timings, "rounds": rounds},
        failed=failed,
    )


async def _round(bench: Bench, arena: Arena, at: int) -> dict[str, Timing]:
    rate = (await turn(arena, WORKER, bench.scale.commands)).per_second / 2
    timings: dict[str, Timing] = {}
    for one in _BOTH if at % 2 == 0 else _BOTH[::-1]:
        timings[one.name] = await _timing(arena, one, rate, bench.scale.latency_seconds)
        bench.say(f"latency: {one.name} p99 {timings[one.name].p99_milliseconds:.1f} ms at {rate:.0f}/s")
    return timings


async def _timing(arena: Arena, contestant: Contestant, rate: float, seconds: float) -> Timing:
    await arena.clear()
    with started(contestant, arena.settings) as running:
        publisher = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.publisher", str(rate), str(seconds)),
            env=environment(arena.settings, contestant),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, complaints = await publisher.communicate()
        if publisher.returncode:
            raise WrongError(f"{contestant.name}: {complaints.decode()[-1000:]}\n{running.said()}")
        await asyncio.to_thread(running.leave)
    return Timing(**orjson.loads(said))
