"""`heroes dead-letters replay`: what an operator says and sees; replaying.py does it."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import typer
from rich.progress import Progress

from worker.errors import ExitCode, SettingsError
from worker.messaging.channel import ConfirmedChannel
from worker.messaging.connection import without_password
from worker.messaging.decode import Decoder
from worker.operations.calling import OutputError, RabbitmqUrl, console, explained
from worker.operations.dead_letters.reading import (
    Everything,
    MaybeName,
    OfReason,
    OfType,
    Opened,
    Selection,
    letters_at,
    nothing_found,
    plain,
    selected,
)
from worker.operations.dead_letters.replaying import Replayer, Tally
from worker.operations.dead_letters.ruling import Judge
from worker.ours import OURS
from worker.persistence import schema
from worker.persistence.database import Database
from worker.settings import Settings, load_settings

_DATABASE = "HEROES_DATABASE_URL"
_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:/s)?")


def _rate(value: str) -> float:
    match = _RATE.fullmatch(value)
    if match is None or not float(match[1]):
        raise typer.BadParameter("should be like 50/s")
    return float(match[1])


_DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]
_Rate = Annotated[
    float | None, typer.Option("--rate", parser=_rate, metavar="N/s", help="At most so many in a second.")
]
_Force = Annotated[
    bool, typer.Option("--force", help="Also where order or retention forbid it: it may undo what came later.")
]


@dataclass(frozen=True, slots=True)
class _Wish:
    """How the operator wants it done."""

    selection: Selection
    dry: bool
    force: bool
    pause_seconds: float


def replay(  # noqa: PLR0913, PLR0917 - each parameter is an option of the command line
    rabbitmq_url: RabbitmqUrl,
    name: MaybeName = None,
    reason: OfReason = None,
    kind: OfType = None,
    everything: Everything = False,
    dry_run: _DryRun = False,
    rate: _Rate = None,
    force: _Force = False,
) -> None:
    """Send letters again to where they were published first; each then goes the way of any command."""
    tally = Tally()
    with explained():
        selection = selected(name, reason, kind, everything=everything)
        wish = _Wish(selection, dry_run, force, 1 / rate if rate else 0)
        if not os.environ.get(_DATABASE):
            raise SettingsError(f"{_DATABASE} is not set: a replay asks the inbox what became of each command")
        try:
            asyncio.run(_replay(rabbitmq_url, load_settings(), wish, tally))
        except BaseException:
            with suppress(OutputError):  # why it ended is told all the same
                _print(tally, dry=dry_run)
            raise
        _print(tally, dry=dry_run)
        if not tally.of:
            raise nothing_found(selection)
    raise typer.Exit(ExitCode.REFUSED if tally.stay else ExitCode.DONE)


async def _replay(rabbitmq_url: str, settings: Settings, wish: _Wish, tally: Tally) -> None:
    async with (
        _database(settings) as database,
        letters_at(rabbitmq_url, max_body_bytes=settings.max_body_bytes) as opened,
    ):
        with Progress(console=console(stderr=True), disable=not console(stderr=True).is_terminal) as progress:
            task = progress.add_task("dead letters", total=opened.box.letters)
            replayer = _replayer(settings, wish, database, opened)
            async for letter, act in replayer.run(opened.take(wish.selection)):
                tally.add(letter, act)
                progress.update(task, completed=opened.box.looked_at)


def _replayer(settings: Settings, wish: _Wish, database: Database, opened: Opened) -> Replayer:
    judge = Judge(
        database.sessions,
        Decoder(OURS.commands, settings.max_body_bytes),
        OURS.last_change,
        timedelta(days=settings.inbox_retention_days),
        wish.force,
    )
    channel = ConfirmedChannel(opened.connection, settings.publish_timeout_seconds)
    return Replayer(judge, opened.box, channel, wish.pause_seconds, wish.dry)


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Database]:
    """It answers, and its tables are right."""
    database = Database.of(
        settings.database_url, pool_size=1, statement_timeout_seconds=settings.statement_timeout_seconds
    )
    try:
        shown = without_password(settings.database_url)
        await schema.wait_until_reachable(database.engine, shown, min(5, settings.startup_timeout_seconds))
        await schema.verify(database.engine)
        yield database
    finally:
        await database.close()


def _print(tally: Tally, *, dry: bool) -> None:
    would = "[dim]would be[/] " if dry else ""
    for act, count in tally.of.items():
        console().print(f"{'[yellow]✗[/]' if act.leaves else '[green]✓[/]'} {count} {would}{act}")
    if tally.hopeless:
        console().print(
            f"[yellow]![/] {tally.hopeless} of these can only come back: their publishers must send right ones"
            " (heroes dead-letters list says how); then drop these"
        )
    for letter_id, act in tally.staying:
        console().print("   ", plain(f"{letter_id}  {act.value.partition(':')[0]}"))
    if tally.stay > len(tally.staying):
        console().print(f"    … and {tally.stay - len(tally.staying)} more")
