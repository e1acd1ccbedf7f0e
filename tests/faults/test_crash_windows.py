"""A worker killed between any two steps of a command loses nothing, doubles nothing and keeps order and event ids."""

from tests.faults.crash_points import Window
from tests.faults.crash_windows import kill_all
from tests.harness.stage import Stage
from tests.harness.wire import Wire

TIMES = 2


async def test_a_worker_killed_in_any_window_keeps_every_promise(stage: Stage, wire: Wire) -> None:
    tally = await kill_all(stage, wire, [*Window] * TIMES)
    assert sorted(tally.victims.values()) == sorted([*Window] * TIMES), "each window was met so often"
