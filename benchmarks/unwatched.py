"""The worker with nobody looking on: no figures, no names on log lines; what looking on costs is the difference.

Invariant: everything else is the program that `heroes worker` runs, in the same settings.
"""

import asyncio
import signal

import uvloop

from worker.app import running_worker
from worker.collector import spare_what_stays
from worker.observability.logging import configure_logging
from worker.observability.metrics import Metrics
from worker.observability.observed import Observed
from worker.ours import OURS
from worker.settings import load_settings
from worker.watch import Watch


async def _work() -> None:
    settings = load_settings()
    configure_logging(settings.log_format, settings.log_level)
    spare_what_stays()
    asked_to_leave = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked_to_leave.set)
    async with running_worker(settings, OURS, Observed(Watch(), Metrics(()))):
        await asked_to_leave.wait()


if __name__ == "__main__":
    uvloop.run(_work())
