"""`python -m tests.faults --seeds 1-20`: runs with random faults, one for each seed, on services of their own.

Exit codes: 0 the promise was kept, 1 it was broken, 3 private services can't be had here.
"""

import argparse
import asyncio
import logging
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.faults import report
from tests.faults.run import Options, Result, run
from tests.faults.services import Servers, killable_services
from worker.local.errors import LocalServicesError

KEPT, BROKEN, NO_SERVICES = 0, 1, 3


def main() -> int:
    """Services are brought once for all runs, and nothing is left running."""
    chosen = _arguments()
    try:
        with killable_services() as servers:
            results = []
            for options in _options(chosen):
                folder = Path(tempfile.mkdtemp(prefix=f"heroes-faults-{options.seed}-"))
                result = asyncio.run(_until_told_to_stop(servers, options, folder))
                results.append(result)
                _tell(result)
            _say(*report.summary(results))
    except LocalServicesError as cannot:
        _say(str(cannot))
        return NO_SERVICES
    return BROKEN if any(result.objections for result in results) else KEPT


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seeds", default="1-3", help="like 7 or 1-20 or 3,8,11")
    parser.add_argument("--commands", type=int, default=5000)
    parser.add_argument("--workers", type=int, choices=(1, 2, 3), help="default: by the seed")
    parser.add_argument("--faults", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="only faults that are over in a second")
    return parser.parse_args()


def _options(chosen: argparse.Namespace) -> Iterator[Options]:
    for part in chosen.seeds.split(","):
        first, _, last = part.partition("-")
        for seed in range(int(first), int(last or first) + 1):
            workers = chosen.workers or seed % 3 + 1
            yield Options(seed, workers, chosen.commands, chosen.faults, chosen.quick)


async def _until_told_to_stop(servers: Servers, options: Options, folder: Path) -> Result:
    """SIGTERM leaves through every `with`, as Ctrl-C does. What the AMQP library complains of goes to a file."""
    logging.basicConfig(filename=folder / "suite.log", force=True, format="%(asctime)s %(name)s %(message)s")
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await run(servers, options, folder)


def _tell(result: Result) -> None:
    _say(report.line(result))
    if result.objections:
        details = list(report.details(result))
        (result.folder / "report.txt").write_text("\n".join(details))
        _say(*details)
    else:
        shutil.rmtree(result.folder)


def _say(*lines: str) -> None:
    for one in lines:
        print(one, flush=True)


if __name__ == "__main__":
    sys.exit(main())
