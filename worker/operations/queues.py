"""`heroes queues`: what waits where, who takes it, what was set aside, and what is still to be announced."""

import asyncio
import os
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from worker.errors import RefuseToStartError, SettingsError
from worker.failsafe import cancelled_for_real
from worker.operations.calling import AsJson, RabbitmqUrl, console, echo, explained, tell
from worker.operations.looking import Look, Places, look
from worker.settings import postgresql_url

_EVERY_SECONDS = 2.0
_MINUTE_SECONDS = 60
_WIDTH = 160
_MANAGEMENT_ONLY = frozenset({"unacked", "in/s", "out/s", "oldest"})

_Watch = Annotated[bool, typer.Option("--watch", help="Look again every two seconds, until Ctrl-C.")]


def queues(rabbitmq_url: RabbitmqUrl, watch: _Watch = False, as_json: AsJson = False) -> None:
    """Show what waits in each queue. With HEROES_RABBITMQ_MANAGEMENT_URL and HEROES_DATABASE_URL it tells more."""
    with explained():
        places = Places(rabbitmq_url, os.environ.get("HEROES_RABBITMQ_MANAGEMENT_URL"), _database_url())
        if watch:
            with suppress(KeyboardInterrupt):
                asyncio.run(_watch(places, as_json=as_json))
            return
        seen = asyncio.run(look(places))
    if as_json:
        echo(orjson.dumps(seen.document(), option=orjson.OPT_INDENT_2).decode())
    else:
        _wide().print(_shown(seen))
    raise typer.Exit(seen.exit_code)


async def _watch(places: Places, *, as_json: bool) -> None:
    """A broker that is away for a while is told, and looked for again."""
    wide = _wide()
    paints = wide.is_terminal and not wide.is_dumb_terminal and not as_json
    with Live(console=wide, auto_refresh=False, screen=False) if paints else nullcontext() as live:
        # What goes to a file or a program is not painted over, but told look by look.
        show = partial(live.update, refresh=True) if live else partial(_print_dated, wide)
        while not cancelled_for_real():  # asked, too: a library that is just closing a connection swallows it
            try:
                seen = await look(places)
            except RefuseToStartError as refusal:
                tell(f"{_now()} {escape(str(refusal))}") if as_json else show(Text(str(refusal), style="red"))
            else:
                echo(orjson.dumps({"time": _now()} | seen.document())) if as_json else show(_shown(seen))
            await asyncio.sleep(_EVERY_SECONDS)


def _print_dated(wide: Console, seen: Group | Text) -> None:
    wide.print(Text(_now(), style="dim"), seen, sep="\n")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _database_url() -> str | None:
    url = os.environ.get("HEROES_DATABASE_URL")
    try:
        return postgresql_url(url) if url else None
    except ValueError as error:
        raise SettingsError(f"HEROES_DATABASE_URL: {error}") from None


def _wide() -> Console:
    """What is no terminal has no width to keep to."""
    wide = console()
    if not wide.is_terminal:
        wide.width = _WIDTH
    return wide


def _shown(seen: Look) -> Group:
    return Group(_table(seen), *_lines(seen))


def _table(seen: Look) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("queue", no_wrap=True)
    for name in ("ready", "unacked", "consumers", "in/s", "out/s", "oldest"):
        if seen.details or name not in _MANAGEMENT_ONLY:
            table.add_column(name, justify="right", no_wrap=True)
    table.add_column("taken by", overflow="fold")
    for depth in seen.depths:
        detail = seen.detail(depth.queue)
        told = (detail.unacked,), (detail.in_rate, detail.out_rate)
        unacked, rates = told if seen.details else ((), ())
        table.add_row(
            depth.queue,
            *map(_number, (depth.ready, *unacked, depth.consumers, *rates)),
            *([_age(detail.oldest_seconds)] if seen.details else []),
            Text(depth.word, style="yellow") if depth.word else Text(detail.active or ""),
        )
    return table


def _lines(seen: Look) -> list[Text]:
    letters, owed = seen.dead_letters, seen.unpublished
    told = [Text("dead letters: unknown" if letters is None else f"dead letters: {letters}")]
    if letters:
        told[0].append(" (heroes dead-letters list)", style="yellow")
    if owed is not None:
        age = f", the oldest for {_age(owed.oldest_seconds)}" if owed.rows else ""
        told.append(Text(f"unpublished rows: {owed.rows}{age}"))
    return [*told, *(Text(note, style="yellow") for note in seen.notes)]


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.0f} s" if seconds < 2 * _MINUTE_SECONDS else f"{seconds / _MINUTE_SECONDS:.0f} min"
