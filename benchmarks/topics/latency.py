"""From a command's publication to its event, at half of what the worker carries.

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
_UNDER_WAY = 256  # half of what the worker has in hand of all queues, by default
HALF_LOAD = "half of it"
CARRIED = "all that it carries"
_HALF_DRAINED = "half of full queues"
_SAYS = (
    "A publisher in a process of its own sends creates and hears their events, on the same cores. What the worker"
    f" carries is found with {_UNDER_WAY} commands under way at any time; that is less than it takes from queues that"
    " are full already, since publisher and broker work beside it. Then commands come at half of that, each at its"
    " moment, whether or not the ones before are done; and at half of the rate with full queues."
)


async def measure(bench: Bench) -> Section:
    """The percentiles of both, at each load; the median of each over the rounds."""
    rounds: list[dict[str, Timing]] = []
    failed: dict[str, str] = {}
    async with bench.arena() as arena:
        try:
            for at in range(bench.scale.latency_rounds):
                rounds.append(await _round(bench, arena, at))  # noqa: PERF401 - what was measured before a failure stays
        except WrongError as error:
            failed["a round"] = str(error)
    timings = {name: Timing.middle([each[name] for each in rounds]) for name in rounds[0]} if rounds else {}
    return Section(
        name="latency",
        title="From publication to event, at half load",
        says=f"{_SAYS} The medians of {len(rounds)} rounds.",
        head=("load", "events/s", "p50 ms", "p95 ms", "p99 ms"),
        rows=tuple((name, *timing.cells()) for name, timing in timings.items()),
        figures={"timings": timings, "rounds": rounds},
        failed=failed,
    )


def at_load(load: str, contestant: Contestant) -> str:
    """The name of this contestant's timing."""
    return f"{load}: {contestant.name}"


async def _round(bench: Bench, arena: Arena, at: int) -> dict[str, Timing]:
    drained = (await turn(arena, WORKER, bench.scale.commands)).per_second
    seconds = bench.scale.latency_seconds
    carried = await _timing(arena, WORKER, "full", _UNDER_WAY, seconds)
    timings = {at_load(CARRIED, WORKER): carried}
    for load, rate in ((HALF_LOAD, carried.per_second / 2), (_HALF_DRAINED, drained / 2)):
        found = {one.name: await _timing(arena, one, "steady", rate, seconds) for one in _in_turn(at)}
        for one in _BOTH:
            timings[at_load(load, one)] = found[one.name]
            bench.say(f"latency: {one.name} p99 {found[one.name].p99_milliseconds:.1f} ms at {rate:.0f}/s")
    return timings


def _in_turn(at: int) -> tuple[Contestant, ...]:
    return _BOTH if at % 2 == 0 else _BOTH[::-1]


async def _timing(arena: Arena, contestant: Contestant, mode: str, much: float, seconds: float) -> Timing:
    await arena.clear()
    with started(contestant, arena.settings) as running:
        publisher = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.publisher", mode, str(much), str(seconds)),
            env=environment(arena.settings, contestant),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, complaints = await publisher.communicate()
        if publisher.returncode:
            raise WrongError(f"{contestant.name}: {complaints.decode()[-1000:]}\n{running.said()}")
        await asyncio.to_thread(running.leave)
    return Timing(**orjson.loads(said))
