"""Plans which faults come when, decided by the seed alone, carries the plan out, and measures each recovery."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.faults.acts import ACTS
from tests.faults.cluster import Cluster
from tests.faults.step import Step
from tests.faults.workload import Workload

LOOK_EVERY_SECONDS = 0.02
CLOSE_SHARE = 0.25  # so many faults hit while the one before has hardly begun
# How long each fault lasts, from and to; what stands twice comes more often.
LENGTHS: Mapping[str, Sequence[tuple[float, float]]] = {
    "worker_kill": [(0.1, 6), (0.1, 1)],
    "worker_term": [(0.1, 5)],
    "worker_freeze": [(1, 20)],
    "worker_join": [(3, 15)],
    "database_fast": [(0.2, 5)],
    "database_immediate": [(0.2, 5)],
    "database_kill": [(0.2, 5)],
    "database_freeze": [(2, 8)],
    "database_no_table": [(1, 10)],
    "database_full": [(1, 10)],
    "broker_kill": [(0.1, 3)],
    "broker_restart": [(0.1, 3)],
    "broker_close_all": [(0, 0)],
    "broker_alarm": [(3, 10)],
    "amqp_cut": [(0, 0)],
    "amqp_blackhole": [(5, 15), (30, 40)],
    "sql_cut": [(0, 0)],
    "sql_blackhole": [(5, 15)],
}
QUICK = ("worker_kill", "database_immediate", "amqp_cut", "broker_close_all", "sql_cut", "worker_term")
QUICK_LONGEST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """From the end of a fault until the first outcome; and until all that waited had theirs.

    None where another fault was there meanwhile, or the end of the run came first.
    """

    step: Step
    first_seconds: float | None = None
    all_seconds: float | None = None


def plan(seed: int, faults: int, workers: int, *, quick: bool = False) -> list[Step]:
    """So many faults of as many different kinds as possible."""
    dice = random.Random(seed)  # noqa: S311 - a run is repeated by its seed; nothing is kept secret by it
    choices = [(kind, length) for kind, lengths in LENGTHS.items() for length in lengths if not quick or kind in QUICK]
    steps: list[Step] = []
    while len(steps) < faults:
        kind, (shortest, longest) = dice.choice(choices)
        if kind in {step.kind for step in steps[-len(LENGTHS) // 2 :]}:
            continue
        pause = dice.uniform(0.1, 1) if dice.random() < CLOSE_SHARE else dice.uniform(3, 3 if quick else 10)
        seconds = dice.uniform(shortest, min(longest, QUICK_LONGEST_SECONDS) if quick else longest)
        steps.append(Step(round(pause, 2), kind, dice.randrange(workers), round(seconds, 2)))
    return steps


def planned_seconds(steps: Sequence[Step]) -> float:
    """How long the plan takes, if every act takes no longer than it should."""
    begin, end = 0.0, 0.0
    for step in steps:
        begin += step.pause_seconds
        end = max(end, begin + step.seconds)
    return end


@dataclass(slots=True)
class Nemesis:
    """At work on one cluster."""

    cluster: Cluster
    workload: Workload
    recoveries: list[Recovery] = field(default_factory=list)
    ghosts_freed: int = 0
    struck: list[str] = field(default_factory=list)  # what really happened, and when
    _busy: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    _measuring: list["asyncio.Task[None]"] = field(default_factory=list)
    _is_over: bool = False
    _present: int = 0
    _strikes: int = 0

    async def strike(self, steps: Sequence[Step]) -> None:
        """Every fault has come and gone; faults of different targets overlap."""
        async with asyncio.TaskGroup() as striking:
            for step in steps:
                await self.cluster.clock.passed(step.pause_seconds)
                striking.create_task(self._strike(step))

    async def stop(self) -> None:
        """No recovery is waited for any longer."""
        self._is_over = True
        await asyncio.gather(*self._measuring)

    async def _strike(self, step: Step) -> None:
        clock = self.cluster.clock
        async with self._busy[step.target]:
            began = clock.now
            self._strikes += 1
            self._present += 1
            strike = self._strikes
            await ACTS[step.kind](self.cluster, step)
            self._present -= 1
        healed = clock.now
        self.struck.append(f"{began:6.2f} to {healed:6.2f} s  {step.kind} {step.target}")
        waiting = self.workload.unanswered()
        if waiting and not self._present and strike == self._strikes:
            self._measuring.append(asyncio.create_task(self._measure(step, healed, waiting)))

    async def _measure(self, step: Step, healed: float, waiting: set[str]) -> None:
        self.recoveries.append(await self._recovery(step, healed, waiting))

    async def _recovery(self, step: Step, healed: float, waiting: set[str]) -> Recovery:
        clock, causes, strikes = self.cluster.clock, self.workload.listener.causes, self._strikes
        first = None
        while strikes == self._strikes and not self._is_over:
            if first is None:
                newest = next(reversed(causes.values()), 0.0)
                first = newest if newest > healed else None
            waiting = waiting - causes.keys()
            if not waiting:
                return Recovery(step, first and first - healed, clock.now - healed)
            await asyncio.sleep(LOOK_EVERY_SECONDS)
        return Recovery(step, first and first - healed)
