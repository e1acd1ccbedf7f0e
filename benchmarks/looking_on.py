"""What figures and log context cost: the worker as it is against the same with nobody looking on, in the same run.

Invariant: the two take turns on the same services, and each pair begins with the other one; the ratio is what counts.
"""

import argparse
import sys
from statistics import median

import uvloop
from rich.console import Console

from benchmarks.arena import Arena, WrongError, opened
from benchmarks.contestants import UNWATCHED, WORKER
from benchmarks.race import Figure, turn
from worker.local import LocalServicesError, local_services
from worker.operations.prepare import prepare_broker, prepare_database
from worker.settings import Settings

WANTED_RATIO = 0.95
_FAILED, _SERVICE_AWAY = 1, 3


def main() -> int:
    """The exit code: 0 measured, 1 a contestant was wrong, 3 no services."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.looking_on", description=__doc__)
    parser.add_argument("--commands", type=int, default=4000, help="commands in each turn (4000)")
    parser.add_argument("--rounds", type=int, default=8, help="turns of each (8)")
    arguments = parser.parse_args()
    console = Console(highlight=False)
    try:
        with (
            local_services() as services,
            services.virtual_host("bench") as rabbitmq_url,
            services.database("bench") as database_url,
        ):
            settings = Settings(rabbitmq_url=rabbitmq_url, database_url=database_url)
            uvloop.run(_measure(settings, arguments.commands, arguments.rounds, console))
    except LocalServicesError as error:
        console.print(error, style="red", markup=False)
        return _SERVICE_AWAY
    except WrongError as error:
        console.print(error, style="red", markup=False)
        return _FAILED
    return 0


async def _measure(settings: Settings, commands: int, rounds: int, console: Console) -> None:
    await prepare_database(settings)
    await prepare_broker(settings)
    pairs = []
    async with opened(settings) as arena:
        for number in range(rounds):
            watched, unwatched = pair = await _pair(arena, commands, unwatched_first=number % 2 == 0)
            pairs.append(pair)
            console.print(
                f"round {number + 1}: {watched.per_second:.0f}/s against {unwatched.per_second:.0f}/s,"
                f" CPU {watched.cpu_microseconds:.0f} µs against {unwatched.cpu_microseconds:.0f} µs"
            )
    rates = [watched.per_second / unwatched.per_second for watched, unwatched in pairs]
    costs = [unwatched.cpu_microseconds / watched.cpu_microseconds for watched, unwatched in pairs]
    console.print(
        f"rate: median ratio {median(rates):.3f} ({min(rates):.3f} to {max(rates):.3f}), wanted {WANTED_RATIO}"
    )
    console.print(f"CPU time: median ratio {median(costs):.3f} ({min(costs):.3f} to {max(costs):.3f})")


async def _pair(arena: Arena, commands: int, *, unwatched_first: bool) -> tuple[Figure, Figure]:
    if unwatched_first:
        unwatched = await turn(arena, UNWATCHED, commands)
        return await turn(arena, WORKER, commands), unwatched
    watched = await turn(arena, WORKER, commands)
    return watched, await turn(arena, UNWATCHED, commands)


if __name__ == "__main__":
    sys.exit(main())
