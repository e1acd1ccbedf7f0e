"""`python -m tests.drills [NAME ...]`: makes trouble, shows what an operator sees, mends it, counts.

Exit codes: 0 nothing was lost or doubled, 1 something was or never came, 3 private services can't be had here,
130 stopped.
"""

import argparse
import asyncio
import logging
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from tests.drills import misbehaving
from tests.drills.outages import broker_down, database_down, disk_alarm
from tests.drills.poison import every_handler_raises, poison_flood
from tests.drills.prometheus import FASTER
from tests.drills.scene import Scene
from tests.drills.screen import Screen
from tests.drills.stuck import handlers_hang, lock_held, loop_stuck
from tests.faults.services import Servers, killable_services
from worker.local.errors import LocalServicesError

WELL, BROKEN, NO_SERVICES, STOPPED = 0, 1, 3, 130
LONGEST_SECONDS = 600

Drill = Callable[[Scene], Awaitable[None]]
WITH_BUGS = ("-m", misbehaving.__name__)
DRILLS: Mapping[str, tuple[Drill, tuple[str, ...]]] = {
    "database-down": (database_down, ()),
    "broker-down": (broker_down, ()),
    "poison-flood": (poison_flood, WITH_BUGS),
    "handlers-raise": (every_handler_raises, WITH_BUGS),
    "loop-stuck": (loop_stuck, WITH_BUGS),
    "handlers-hang": (handlers_hang, WITH_BUGS),
    "lock-held": (lock_held, ()),
    "disk-alarm": (disk_alarm, ()),
}


def main() -> int:
    """Services are brought once for all drills, and nothing is left running."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*DRILLS, []], metavar="NAME", help=", ".join(DRILLS))
    chosen = parser.parse_args().names or list(DRILLS)
    try:
        with killable_services() as servers:
            print(f"What the alerts call a minute passes in {60 // FASTER} s here; thresholds are the shipped ones.")
            return max(asyncio.run(_played(servers, name)) for name in chosen)
    except LocalServicesError as cannot:
        print(cannot)
        return NO_SERVICES
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("stopped")
        return STOPPED


async def _played(servers: Servers, name: str) -> int:
    """SIGTERM leaves through every `with`, as Ctrl-C does."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    drill, worker = DRILLS[name]
    screen = Screen()
    with tempfile.TemporaryDirectory(prefix="heroes-drill-") as folder:
        logging.basicConfig(filename=Path(folder) / "drill.log", force=True)
        try:
            async with asyncio.timeout(LONGEST_SECONDS), Scene.ready(servers, screen, Path(folder), *worker) as scene:
                screen.title(f"{name}: {drill.__doc__}")
                await drill(scene)
        except (AssertionError, TimeoutError) as wrong:
            screen.title(f"{name} FAILED")
            screen.says(f"{str(wrong) or f'not over after {LONGEST_SECONDS} s'}")
            return BROKEN
    return WELL


if __name__ == "__main__":
    sys.exit(main())
