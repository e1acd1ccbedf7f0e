"""Whoever comes and leaves at whatever moment, cancelled or not, each key is passed in the order of arrival."""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from worker.messaging.lanes import Lanes, Turn

DEADLINE_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Visitor:
    """One command: its keys, how long it comes after the one before and stays, and when, if ever, it is cancelled."""

    keys: list[str]
    comes_after: int
    stays: int
    cancelled_after: int | None


@dataclass(slots=True)
class Watch:
    """Who is inside each key, and in which order they came in."""

    inside: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    passed: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    async def visit(self, number: int, visitor: Visitor, turn: Turn) -> None:
        try:
            async with turn:
                for key in set(visitor.keys):
                    assert self.inside[key] == 0, "two at once"
                    self.inside[key] += 1
                    self.passed[key].append(number)
                try:
                    await _ticks(visitor.stays)
                finally:
                    for key in set(visitor.keys):
                        self.inside[key] -= 1
        finally:
            turn.give_up()  # as the intake does, whatever happened


async def _ticks(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def _play(visitors: list[Visitor]) -> None:
    lanes, watch = Lanes(), Watch()
    tasks: list[asyncio.Task[None]] = []
    cancellers: list[asyncio.Task[None]] = []

    async def cancel_later(task: "asyncio.Task[None]", ticks: int) -> None:
        await _ticks(ticks)
        task.cancel()

    for number, visitor in enumerate(visitors):
        await _ticks(visitor.comes_after)
        # The task begins before it can be cancelled: a delivery's task is already running when it takes its turn.
        tasks.append(asyncio.create_task(watch.visit(number, visitor, lanes.take(visitor.keys))))
        if visitor.cancelled_after is not None:
            cancellers.append(asyncio.create_task(cancel_later(tasks[-1], 1 + visitor.cancelled_after)))
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), DEADLINE_SECONDS)
    await asyncio.gather(*cancellers)
    for visitor, result in zip(visitors, results, strict=True):
        assert result is None or (visitor.cancelled_after is not None and isinstance(result, asyncio.CancelledError))
    for numbers in watch.passed.values():
        assert numbers == sorted(numbers)
    assert len(lanes) == 0


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    """On a loop of its own, that pytest's does not notice."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(coroutine)
    finally:
        loop.close()


_VISITORS = st.builds(
    Visitor,
    keys=st.lists(st.sampled_from("abc"), max_size=3),
    comes_after=st.integers(0, 3),
    stays=st.integers(0, 5),
    cancelled_after=st.none() | st.integers(0, 6),
)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.lists(_VISITORS, max_size=12))
def test_no_schedule_of_arrivals_and_cancellations_breaks_the_order_or_leaves_anything_behind(
    visitors: list[Visitor],
) -> None:
    _run(_play(visitors))
