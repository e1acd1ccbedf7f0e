"""One contestant's turn: full queues at the start, a rate and the cost of one command in the end.

Invariant: the clock runs from a quarter of the commands to the last one, so that starting up costs nobody anything:
some open their connections before the first command, some with it.
"""

import asyncio
import subprocess
import sys
from dataclasses import dataclass
from math import inf
from time import perf_counter

from benchmarks.arena import Arena
from benchmarks.contestants import Contestant, Running, WrongError, environment, started
from benchmarks.usage import Cpu, Servers
from benchmarks.work import CREATE, Kind

_LOOK_EVERY_SECONDS = 0.02
_ROUND_TIMEOUT_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Figure:
    """What one turn measured; CPU time is of one command. Repeated announcements are allowed, and a sign of trouble."""

    contestant: str
    per_second: float
    cpu: Cpu
    peak_bytes: int
    repeated: int

    @property
    def cpu_microseconds(self) -> float:
        """Of the contestant alone."""
        return self.cpu.worker


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment of a turn: how much was done, when, and at what cost so far."""

    done: float
    clock: float
    cpu: Cpu
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class Turn:
    """Who does what, where."""

    arena: Arena
    contestant: Contestant
    count: int
    kind: Kind = CREATE
    mark_every_seconds: float = inf
    warm_up_share: float = 0.25

    async def done(self) -> float:
        """How many commands have been handled so far; of a batch that is being announced, a part."""
        if self.contestant.is_peer:
            return await self.arena.created()
        return await self.arena.announced() / self.kind.events

    async def is_over(self, done: float) -> bool:
        """All are handled; announcements alone may be repeats."""
        counted = self.arena.heroes if self.contestant.is_peer else self.arena.recorded
        return done >= self.count and await counted() >= self.count

    async def verify(self) -> int:
        """The repeats. Raises: WrongError if it was not done as it should be."""
        if not self.contestant.is_peer:
            return await self.arena.verify(self.count, self.kind)
        one = self.contestant
        await self.arena.verify_peer(self.count, one.events, remembers=one.remembers)
        return 0


async def turn(arena: Arena, contestant: Contestant, count: int, kind: Kind = CREATE) -> Figure:
    """The contestant's figure.

    Raises:
        WrongError: it has none, because it was wrong or too slow; with the end of its log.
    """
    figure, _ = await watched(Turn(arena, contestant, count, kind))
    return figure


async def watched(one: Turn) -> tuple[Figure, list[Mark]]:
    """The figure, and what was seen on the way from the end of the warm-up on. Raises: WrongError, as `turn` does."""
    await prepare(one)
    servers = Servers.found(one.arena.settings)
    with started(one.contestant, one.arena.settings) as running:
        try:
            marks = await _clocked(one, running, servers)
            if marks[-1].done == marks[0].done:
                raise WrongError("was done before the clock ran: give it more work")  # noqa: TRY301 - as the others are
            peak = running.peak_bytes()
            await asyncio.to_thread(running.leave)
            repeated = await one.verify()
        except WrongError as error:
            raise WrongError(f"{one.contestant.name}: {error}\n{running.said()}") from None
    first, last = marks[0], marks[-1]
    rate = (last.done - first.done) / (last.clock - first.clock)
    cost = first.cpu.spent_until(last.cpu, last.done - first.done)
    return Figure(one.contestant.name, rate, cost, peak, repeated), marks


async def prepare(one: Turn) -> None:
    """The tables are as the work needs them, and the contestant's queues are full. Raises: WrongError."""
    await one.arena.clear(one.count if one.kind.seeded else 0)
    if not one.contestant.is_peer:
        await one.arena.fill(one.count, one.kind)
        return
    if one.contestant.events:
        await one.arena.channel.queue_delete(one.contestant.events)
    command = [sys.executable, *one.contestant.fill, str(one.count)]
    environ = environment(one.arena.settings, one.contestant)
    filled = await asyncio.to_thread(subprocess.run, command, env=environ, capture_output=True, check=False)
    if filled.returncode:
        raise WrongError(f"{one.contestant.name} was given no work: {filled.stderr[-2000:].decode(errors='replace')}")


async def _clocked(one: Turn, running: Running, servers: Servers) -> list[Mark]:
    def mark(done: float, clock: float) -> Mark:
        return Mark(done, clock, servers.cpu(running.pids), running.resident_bytes())

    marks: list[Mark] = []
    warm, is_over = max(int(one.count * one.warm_up_share), 1), False
    try:
        async with asyncio.timeout(_ROUND_TIMEOUT_SECONDS):
            while not is_over:
                await asyncio.sleep(_LOOK_EVERY_SECONDS)
                running.require_alive()
                done, clock = await one.done(), perf_counter()
                is_over = bool(marks) and await one.is_over(done)
                is_due = clock - marks[-1].clock > one.mark_every_seconds if marks else done >= warm
                # To read /proc takes milliseconds of a machine that the contestant needs.
                if is_due or is_over:
                    marks.append(mark(done, clock))
    except TimeoutError:
        raise WrongError(f"{await one.done():.0f} of {one.count} in {_ROUND_TIMEOUT_SECONDS} s") from None
    return marks
