"""Prepares the services for missions and runs a worker until it is told to leave: `python run.py`.

Takes the place of `heroes setup` and `heroes worker` until `worker/cli.py` sends missions.
"""

import asyncio
import signal

from worker.app import running_worker
from worker.observability.logging import configure_logging
from worker.operations import prepare
from worker.settings import load_settings


async def main() -> None:
    """Tables and queues of missions, and a worker that takes their commands."""
    settings = load_settings()
    configure_logging(settings.log_format, settings.log_level)
    asked_to_leave = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked_to_leave.set)
    await prepare.prepare_database(settings)
    await prepare.prepare_broker(settings)
    async with running_worker(settings):
        await asked_to_leave.wait()


if __name__ == "__main__":
    asyncio.run(main())
