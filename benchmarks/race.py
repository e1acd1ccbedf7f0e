"""One contestant's turn: full queues at the start, a rate and the CPU time of one command in the end.

Invariant: the clock runs from a tenth of the events to the last one, so that start-up and warm-up cost nobody anything.
"""

import asyncio
from dataclasses import dataclass
from time import perf_counter

from benchmarks.arena import Arena, WrongError
from benchmarks.contestants import Contestant, Running, started

_WARM_UP_SHARE = 0.1
_LOOK_EVERY_SECONDS = 0.02
_ROUND_TIMEOUT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Figure:
    """What one turn measured; repeated announcements are allowed, and a sign of trouble."""

    contestant: str
    per_second: float
    cpu_microseconds: float
    repeated: int


@dataclass(frozen=True, slots=True)
class _Mark:
    events: int
    clock: float
    cpu: float


async def turn(arena: Arena, contestant: Contestant, count: int) -> Figure:
    """The contestant's figure.

    Raises:
        WrongError: it has none, because it was wrong or too slow; with the end of its log.
    """
    await arena.clear()
    await arena.fill(count)
    with started(contestant, arena.settings) as running:
        try:
            first, last = await _clocked(arena, running, count)
            await asyncio.to_thread(running.leave)
            repeated = await arena.verify(count)
        except WrongError as error:
            raise WrongError(f"{contestant.name}: {error}\n{running.said()}") from None
    measured = last.events - first.events
    return Figure(
        contestant.name,
        per_second=measured / (last.clock - first.clock),
        cpu_microseconds=(last.cpu - first.cpu) / measured * 1e6,
        repeated=repeated,
    )


async def _clocked(arena: Arena, running: Running, count: int) -> tuple[_Mark, _Mark]:
    try:
        async with asyncio.timeout(_ROUND_TIMEOUT_SECONDS):
            return await _reached(arena, running, int(count * _WARM_UP_SHARE)), await _reached(arena, running, count)
    except TimeoutError:
        raise WrongError(f"{await arena.announced()} of {count} in {_ROUND_TIMEOUT_SECONDS} s") from None


async def _reached(arena: Arena, running: Running, count: int) -> _Mark:
    while True:
        events = await arena.announced()
        mark = _Mark(events, perf_counter(), running.cpu_seconds())
        if events >= count and await arena.recorded() >= count:  # events alone may be repeats
            return mark
        running.require_alive()
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
