"""Creates per second of one worker process against a hand-written aiormq + asyncpg loop, in the same run.

Invariant: both do the same work on the same services and take turns; absolute rates are the machine's, the ratio ours.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import orjson
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.arena import WrongError, opened
from benchmarks.contestants import HAND_WRITTEN, WORKER
from benchmarks.race import Figure, turn
from worker.local import LocalServicesError, local_services
from worker.operations.prepare import prepare_broker, prepare_database
from worker.settings import Settings

WANTED_RATIO = 0.4
_FAILED, _SERVICE_AWAY = 1, 3

Round = dict[str, Figure]


def main() -> int:
    """The exit code: 0 measured, 1 a contestant was wrong, 3 no services."""
    arguments = _arguments()
    console = Console(stderr=True)
    try:
        with (
            local_services() as services,
            services.virtual_host("bench") as rabbitmq_url,
            services.database("bench") as database_url,
        ):
            settings = Settings(rabbitmq_url=rabbitmq_url, database_url=database_url)
            rounds = uvloop.run(_rounds(settings, arguments, console))
    except LocalServicesError as error:
        console.print(error, style="red", markup=False)
        return _SERVICE_AWAY
    except WrongError as error:
        console.print(error, style="red", markup=False)
        return _FAILED
    Console().print(_table(rounds, arguments.commands))
    if arguments.json:
        arguments.json.write_bytes(orjson.dumps(_document(rounds), option=orjson.OPT_INDENT_2))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_figure", description=__doc__)
    parser.add_argument("--commands", type=int, default=4000, help="commands in each turn (4000)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each contestant (3)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser.parse_args()


async def _rounds(settings: Settings, arguments: argparse.Namespace, console: Console) -> list[Round]:
    await prepare_database(settings)
    await prepare_broker(settings)
    rounds: list[Round] = []
    async with opened(settings) as arena:
        for number in range(arguments.rounds):
            order = (HAND_WRITTEN, WORKER) if number % 2 == 0 else (WORKER, HAND_WRITTEN)
            figures: Round = {}
            for contestant in order:
                with console.status(f"round {number + 1} of {arguments.rounds}: {contestant.name}"):
                    figure = await turn(arena, contestant, arguments.commands)
                figures[contestant.name] = figure
                console.print(f"round {number + 1}: {contestant.name} {figure.per_second:.0f}/s", highlight=False)
            rounds.append(figures)
    return rounds


def _table(rounds: Sequence[Round], commands: int) -> Table:
    reached = median(_ratios(rounds))
    verdict = "reached" if reached >= WANTED_RATIO else "missed"
    repeated = sum(figure.repeated for figures in rounds for figure in figures.values())
    table = Table(
        title=f"hero.create, {commands} commands a turn, one process each",
        caption=f"ratio {reached:.2f} ({min(_ratios(rounds)):.2f} to {max(_ratios(rounds)):.2f}),"
        f" wanted {WANTED_RATIO}: {verdict}"
        + (f"\n{repeated} events were announced more than once" if repeated else ""),
    )
    for heading in ("round", "hand-written /s", "worker /s", "ratio", "hand-written CPU µs", "worker CPU µs"):
        table.add_column(heading, justify="right")
    for number, figures in enumerate(rounds, 1):
        table.add_row(str(number), *_cells(figures, _ratio(figures)))
    table.add_section()
    table.add_row("median", *_cells(_medians(rounds), reached), style="bold")
    return table


def _cells(figures: Round, ratio: float) -> tuple[str, ...]:
    limit, ours = figures[HAND_WRITTEN.name], figures[WORKER.name]
    rates = (f"{limit.per_second:.0f}", f"{ours.per_second:.0f}")
    return (*rates, f"{ratio:.2f}", f"{limit.cpu_microseconds:.0f}", f"{ours.cpu_microseconds:.0f}")


def _ratio(figures: Round) -> float:
    return figures[WORKER.name].per_second / figures[HAND_WRITTEN.name].per_second


def _ratios(rounds: Sequence[Round]) -> list[float]:
    return [_ratio(figures) for figures in rounds]


def _medians(rounds: Sequence[Round]) -> Round:
    return {
        name: Figure(
            name,
            median(figures[name].per_second for figures in rounds),
            median(figures[name].cpu_microseconds for figures in rounds),
            sum(figures[name].repeated for figures in rounds),
        )
        for name in (HAND_WRITTEN.name, WORKER.name)
    }


def _document(rounds: Sequence[Round]) -> dict[str, object]:
    return {"wanted_ratio": WANTED_RATIO, "ratios": _ratios(rounds), "medians": _medians(rounds), "rounds": rounds}


if __name__ == "__main__":
    sys.exit(main())
