"""From a command's publication to its event, while commands come at half the rate that the worker can do."""

import asyncio
import sys

import orjson

from benchmarks.arena import Arena
from benchmarks.bench import Bench
from benchmarks.calls import Timing
from benchmarks.contestants import HAND_WRITTEN, WORKER, Contestant, WrongError, environment, started
from benchmarks.race import turn
from benchmarks.section import Section, number


async def measure(bench: Bench) -> Section:
    """The percentiles of both, at the same rate; the rate is half of what the worker does just before."""
    timings: dict[str, Timing] = {}
    failed: dict[str, str] = {}
    rate = 0.0
    async with bench.arena() as arena:
        try:
            rate = (await turn(arena, WORKER, bench.scale.commands)).per_second / 2
            for one in (HAND_WRITTEN, WORKER):
                timings[one.name] = await _timing(arena, one, rate, bench.scale.latency_seconds)
                bench.say(f"latency: {one.name} p99 {timings[one.name].p99_milliseconds:.1f} ms at {rate:.0f}/s")
        except WrongError as error:
            failed[WORKER.name] = str(error)
    return Section(
        name="latency",
        title="From publication to event, at half load",
        says=f"A publisher in a process of its own sends {number(rate)} commands a second, each at its moment, whether"
        " or not the ones before are done, and hears their events.",
        head=("who", "events/s", "p50 ms", "p95 ms", "p99 ms"),
        rows=tuple((name, *timing.cells()) for name, timing in timings.items()),
        figures={"commands_per_second": rate, "timings": timings},
        failed=failed,
    )


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
