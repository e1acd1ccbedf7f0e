"""`python -m benchmarks`: brings the services, measures every part in one run, shows it, and writes it down if asked.

Invariant: the exit code is 0 only if ours and the hand-written loop did all of their work as they should.
"""

import argparse
import os
import sys
from pathlib import Path

import uvloop
from rich.console import Console

from benchmarks.bench import FULL, QUICK, SMOKE, Bench
from benchmarks.report.machine import this_machine
from benchmarks.report.page import Run
from benchmarks.report.screen import show
from benchmarks.section import Section
from benchmarks.topics import TOPICS
from worker.local import LocalServicesError, Services, local_services

_FAILED, _SERVICE_AWAY = 1, 3


def main() -> int:
    """The exit code: 0 measured, 1 ours or the hand-written loop was wrong, 3 no services."""
    arguments = _arguments()
    load_before = os.getloadavg()[0]
    try:
        with local_services() as services:
            run = uvloop.run(_run(services, arguments, load_before))
    except LocalServicesError as error:
        Console(stderr=True).print(error, style="red", markup=False)
        return _SERVICE_AWAY
    show(run, Console())
    if arguments.scale is not FULL:
        Console().print("Few and short rounds: a first look, no verdict. `make bench` takes its time.", style="dim")
    if arguments.json:
        arguments.json.write_bytes(run.document())
    if arguments.write:
        run.write(arguments.write)
    return _FAILED if any(section.failed for section in run.sections) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--quick",
        action="store_const",
        const=QUICK,
        dest="scale",
        help="two minutes instead of three quarters of an hour",
    )
    size.add_argument("--smoke", action="store_const", const=SMOKE, dest="scale", help="shows that it works, no more")
    parser.add_argument("--only", nargs="+", choices=TOPICS, metavar="PART", help=", ".join(TOPICS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    parser.add_argument("--write", type=Path, metavar="DOCS", help="also write performance.md and its charts here")
    parser.set_defaults(scale=FULL)
    return parser.parse_args()


async def _run(services: Services, arguments: argparse.Namespace, load_before: float) -> Run:
    bench = Bench(services, arguments.scale, Console(stderr=True))
    sections: list[Section] = []
    for name in arguments.only or [name for name in TOPICS if name not in bench.scale.skipped]:
        bench.say(f"== {name}")
        sections.append(await TOPICS[name](bench))
    return Run(_command(sys.argv[1:]), await this_machine(services, load_before), sections)


def _command(arguments: list[str]) -> str:
    return "make bench" if arguments == ["--write", "docs"] else " ".join(["python -m benchmarks", *arguments])


if __name__ == "__main__":
    sys.exit(main())
