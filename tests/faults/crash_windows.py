"""Kills worker after worker between two steps of one command, while others are in flight, and judges what came of it.

`python -m tests.faults.crash_windows --times 50` kills that often in each window and prints what it measured.
"""

import argparse
import asyncio
import os
import statistics
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from contracts.envelope import Command
from tests.faults.crash_points import Death, Window
from tests.faults.crash_traffic import Traffic, judge, nothing_is_owed
from tests.faults.crashing_worker import CrashingWorker
from tests.harness.ledger import announced, everything_heard
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire
from worker.local import local_services
from worker.operations import prepare

_NTH = (1, 4, 2, 6, 3, 5, 7)  # of seven or eight victims: with most still to come, with most already past
_MOST_CRASHES = 2  # of one delivery; from three on the worker suspects the command itself


@dataclass(slots=True)
class Tally:
    """What a story of kills measured."""

    victims: dict[str, Window] = field(default_factory=dict)
    arrivals: Counter[str] = field(default_factory=Counter)
    delivery_counts: list[int] = field(default_factory=list)
    recoveries: list[float] = field(default_factory=list)
    repeats: int = 0

    @property
    def redeliveries(self) -> int:
        """How often a command came to a worker that an earlier one had had in hand."""
        return sum(count > 0 for count in self.delivery_counts)

    def note(self, worker: CrashingWorker) -> None:
        """Adds what this worker met."""
        self.arrivals += worker.arrived
        self.delivery_counts += worker.delivery_counts

    def assert_deliveries(self) -> None:
        """The broker gave each victim out again, unless it had had its ack; nothing was crashed too often."""
        again = {victim: count > 1 for victim, count in self.arrivals.items() if victim in self.victims}
        assert again == {victim: window is not Window.BEFORE_MARK for victim, window in self.victims.items()}
        assert max(self.delivery_counts) <= _MOST_CRASHES


async def kill_all(stage: Stage, wire: Wire, windows: Sequence[Window]) -> Tally:
    """One worker after the other dies in its window, the last one puts everything right; all promises were kept."""
    tally, traffic = Tally(), Traffic(wire)
    waiting, owed = await traffic.begin(), Counter[str]()
    for number, window in enumerate(windows):
        async with _next_worker(stage, window, tally) as worker:
            during = await _recovery(worker, traffic, waiting, owed, tally)
            rows, victims = traffic.more(number)
            worker.condemn(victims, _NTH[number % len(_NTH)])
            _, death = await asyncio.gather(traffic.send(rows), worker.died())
            await _assert_died_in(window, death, stage, wire)
            tally.victims[death.command_id] = window
        waiting, owed = [*during, *(command for row in rows for command in row)], worker.in_hand
    async with _next_worker(stage, Window.BEFORE_CLAIM, tally) as worker:
        await announced(wire, await _recovery(worker, traffic, waiting, owed, tally))
        await nothing_is_owed(stage)
        await worker.leave()
    tally.repeats = await judge(stage, traffic)
    tally.assert_deliveries()
    return tally


@asynccontextmanager
async def _next_worker(stage: Stage, window: Window, tally: Tally) -> AsyncIterator[CrashingWorker]:
    async with CrashingWorker.started(stage, window) as worker:
        yield worker
    tally.note(worker)


async def _recovery(
    worker: CrashingWorker, traffic: Traffic, waiting: Sequence[Command], owed: Counter[str], tally: Tally
) -> list[Command]:
    """What the last worker left is announced and acknowledged, so nothing is crashed too often; what came since."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    during, _ = await asyncio.gather(traffic.some(), worker.ready())
    await asyncio.gather(announced(traffic.wire, waiting), worker.finished(owed))
    if tally.victims:
        tally.recoveries.append(loop.time() - began)
    await traffic.know_heroes()
    return during


async def _assert_died_in(window: Window, death: Death, stage: Stage, wire: Wire) -> None:
    """The steps before the window are done and the others are not, as seen while no worker is about."""
    if death.transaction:
        await eventually(lambda: _is_rolled_back(stage, str(death.transaction)), "the victim's transaction ends")
    row = await stage.inbox(death.command_id)
    heard = death.command_id in (await everything_heard(wire)).ids_of
    claimed, recorded, committed = death.transaction is not None, death.outcome is not None, row is not None
    done = [claimed or committed, recorded or committed, committed, heard]
    # whether it is acknowledged shows when the next worker gets it, or does not
    assert done == [step < window for step in range(len(done))], f"{window.label}: {done}"
    assert row is None or row["published_at"] is None, f"{window.label}: it is marked"


async def _is_rolled_back(stage: Stage, transaction: str) -> bool:
    rows = await stage.rows("SELECT pg_xact_status($1::text::xid8) AS status", transaction)
    return bool(rows[0]["status"] == "aborted")


async def _measured(stage: Stage, times: int, window: Window) -> bool:
    """A line about this window; whether the promises were kept."""
    await asyncio.gather(prepare.prepare_database(stage.settings()), prepare.prepare_broker(stage.settings()))
    async with Wire.connected(stage) as wire:
        try:
            line, kept = _line(await kill_all(stage, wire, [window] * times)), True
        except AssertionError as failure:
            line, kept = f"FAILED: {failure}", False
    print(f"{window.label:<15} {line}", flush=True)
    return kept


def _line(tally: Tally) -> str:
    middle, longest = statistics.median(tally.recoveries), max(tally.recoveries)
    return (
        f"{len(tally.victims):>5} {tally.redeliveries:>11} {tally.repeats:>7} {middle:>11.2f} s {longest:>4.2f} s  kept"
    )


def main() -> int:
    """The exit code: 1 if a promise was broken in any window."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=50, help="kills in each window")
    parser.add_argument("--window", choices=[window.name for window in Window], help="only this one")
    given = parser.parse_args()
    good = True
    with local_services(os.environ) as services:
        print(f"{'killed':<15} kills redelivered repeats  recovery p50    max  verdict")
        for window in [Window[given.window]] if given.window else Window:
            with services.virtual_host("windows") as rabbitmq_url, services.database("windows") as database_url:
                good = asyncio.run(_measured(Stage(rabbitmq_url, database_url), given.times, window)) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
