"""`python -m tests.faults --seeds 1-20`: runs with random faults, one for each seed, on services of their own.

`--spread` instead shows how fast queues move when a worker joins or leaves, on a broker that spreads them.

Exit codes: 0 the promise was kept, 1 it was broken, 3 private services can't be had here, 4 no spreading here,
130 stopped.
"""

import argparse
import asyncio
import logging
import shutil
import signal
import sys
import tempfile
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from tests.faults import report
from tests.faults.moves import moves
from tests.faults.run import Options, Result, run
from tests.faults.services import Broker, killable_services
from tests.faults.spread import FIRST_WITH_SPREAD
from worker.local.errors import LocalServicesError

KEPT, BROKEN, NO_SERVICES, NO_SPREAD, STOPPED = 0, 1, 3, 4, 130
MOVED_WITHIN_SECONDS = 1.0

T = TypeVar("T")


def main() -> int:
    """Services are brought once for all runs, and nothing is left running."""
    chosen = _arguments()
    try:
        return _spread() if chosen.spread else _runs(list(_options(chosen)))
    except LocalServicesError as cannot:
        _say(str(cannot))
        return NO_SERVICES
    except (KeyboardInterrupt, asyncio.CancelledError):
        _say("stopped")
        return STOPPED


def _runs(all_options: Sequence[Options]) -> int:
    results = []
    with killable_services() as servers:
        for options in all_options:
            folder = Path(tempfile.mkdtemp(prefix=f"heroes-faults-{options.seed}-"))
            results.append(asyncio.run(_until_told_to_stop(run(servers, options, folder), folder)))
            _tell(results[-1])
    _say(*report.summary(results))
    return BROKEN if any(result.objections for result in results) else KEPT


def _spread() -> int:
    with closing(Broker()) as broker:
        if broker.version() < FIRST_WITH_SPREAD:
            _say("this broker gives all queues to one worker")
            return NO_SPREAD
    with killable_services() as servers, tempfile.TemporaryDirectory(prefix="heroes-faults-spread-") as name:
        found = asyncio.run(_until_told_to_stop(moves(servers, Path(name)), Path(name)))
    for move in found:
        _say(f"{move.what}: moved within {move.seconds:.2f} s, then {move.shares}")
    return KEPT if all(move.is_fair and move.seconds <= MOVED_WITHIN_SECONDS for move in found) else BROKEN


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seeds", default="1-3", help="like 7 or 1-20 or 3,8,11")
    parser.add_argument("--commands", type=int, default=5000)
    parser.add_argument("--workers", type=int, choices=(1, 2, 3), help="default: by the seed")
    parser.add_argument("--faults", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="only faults that are over in a second")
    parser.add_argument("--spread", action="store_true", help="show how queues move, on RabbitMQ 4")
    return parser.parse_args()


def _options(chosen: argparse.Namespace) -> Iterator[Options]:
    for part in chosen.seeds.split(","):
        first, _, last = part.partition("-")
        for seed in range(int(first), int(last or first) + 1):
            workers = chosen.workers or seed % 3 + 1
            yield Options(seed, workers, chosen.commands, chosen.faults, chosen.quick)


async def _until_told_to_stop(work: Coroutine[Any, Any, T], folder: Path) -> T:
    """SIGTERM leaves through every `with`, as Ctrl-C does. What the AMQP library complains of goes to a file."""
    logging.basicConfig(filename=folder / "suite.log", force=True, format="%(asctime)s %(name)s %(message)s")
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


def _tell(result: Result) -> None:
    _say(report.line(result))
    if result.objections:
        details = list(report.details(result))
        (result.folder / "report.txt").write_text("\n".join([*details, "all objections:", *result.objections]))
        _say(*details)
    else:
        shutil.rmtree(result.folder)


def _say(*lines: str) -> None:
    for one in lines:
        print(one, flush=True)


if __name__ == "__main__":
    sys.exit(main())
