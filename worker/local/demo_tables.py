"""What stands in PostgreSQL, in RabbitMQ and on the dead letter after the demonstration's commands.

Invariant: read from the servers themselves, checked, and only then shown.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from contracts.channels import COMMANDS, DEAD_LETTERS, EVENT_LOG, SLOTS, UNSLOTTED
from contracts.heroes import CommandDeadLettered, CommandRejected, HeroUpdated
from worker.local.demo_promise import require
from worker.local.demo_screen import short, table
from worker.local.demo_story import Line, Story
from worker.local.demo_wire import DeadLetter, Depth, Wire
from worker.local.probes import plain_dsn

_MARK_TIMEOUT_SECONDS = 10.0
_BROKER_HEADERS = {"x-delivery-count", "x-acquired-count"}
_RATIO = (31, 39)  # in 80 columns the longest event type and its id stand on one line
_STYLES = {"applied": "green", "rejected": "yellow"}


def outcomes() -> Table:
    """Still empty: a row for each command will follow."""
    shown = table("command", "what the worker announced", "ms", right=("ms",))
    shown.columns[0].ratio, shown.columns[1].ratio = _RATIO
    return shown


def add_outcome(shown: Table, line: Line) -> None:
    """The command with its id, and beside it the event with its id."""
    event = line.event
    command = Text.assemble((line.command, "bold"), (f"  {short(line.command_id)}\n", "dim"), line.asked)
    if line.note:
        name, style, told = "the same event", "bold cyan", line.note
    elif isinstance(event, CommandDeadLettered):
        name, style, told = event.type, "bold red", f"{event.data.reason}: {event.data.detail}"
    elif isinstance(event, CommandRejected):
        name, style, told = event.type, "bold yellow", f"{event.data.code}: {event.data.detail}"
    else:
        changed = f", changed: {', '.join(event.data.changed)}" if isinstance(event, HeroUpdated) else ""
        told = f"hero {event.data.hero.id}, version {event.data.hero.version}{changed}"
        name, style = event.type, "bold green"
    announced = Text.assemble((name, style), (f"  {short(event.id)}\n", "dim"), told)
    shown.add_row(command, announced, f"{line.milliseconds:.1f}")


async def rows(database_url: str, query: str, *arguments: object) -> Sequence[Mapping[str, Any]]:
    """What PostgreSQL answers, on a connection of our own."""
    connection = await asyncpg.connect(plain_dsn(database_url))
    try:
        return [dict(row) for row in await connection.fetch(query, *arguments)]
    finally:
        await connection.close()


async def postgresql(database_url: str) -> str:
    """Its name and version."""
    found = await rows(database_url, "SHOW server_version")
    return f"PostgreSQL {found[0]['server_version']}"


async def heroes(database_url: str) -> Table:
    """The hero table: the update took effect once, the deleted hero is gone."""
    found = await rows(database_url, "SELECT id, name, secret_name, age, version FROM hero ORDER BY id")
    require([(row["name"], row["age"], row["version"]) for row in found] == [("Deadpond", 29, 2)], "one hero is left")
    shown = table("hero", "name", "secret_name, which no event tells", "age", "version", right=("age", "version"))
    for row in found:
        shown.add_row(*(str(value) for value in row.values()))
    return shown


async def inbox(database_url: str, story: Story) -> Table:
    """The inbox: one row for each command that reached its handler, however often it was sent, with its events."""
    query = "SELECT command_id::text, command_type, outcome, events::text, published_at FROM inbox ORDER BY handled_at"
    found = await rows(database_url, query)
    async with asyncio.timeout(_MARK_TIMEOUT_SECONDS):  # rows are marked as published in groups, a moment later
        while not all(row["published_at"] for row in found):
            await asyncio.sleep(0.05)
            found = await rows(database_url, query)
    require([row["command_id"] for row in found] == list(story.recorded), "one inbox row for each command, in order")
    shown = table("inbox", "command", "outcome", "event", "published")
    for row in found:
        event = story.recorded[row["command_id"]]
        require(event.id in row["events"], "the inbox keeps the event as it was published")
        outcome = Text(row["outcome"], style=_STYLES[row["outcome"]])
        shown.add_row(short(row["command_id"]), row["command_type"], outcome, short(event.id), "✓")
    return shown


async def queues(wire: Wire) -> Table:
    """All commands are done with; one letter waits for a person."""
    slots, letters = await commands(wire), await wire.depth(DEAD_LETTERS)
    require(slots.ready == 0, "no command waits any more")
    require(letters.ready == 1, "one dead letter waits")
    await wire.depth(EVENT_LOG)  # it is there; how much it holds, a broker tells only seconds later
    shown = table("queue", "waiting", "consumers", "", right=("waiting", "consumers"))
    for name, depth, what in (
        (f"{COMMANDS}.00 … {SLOTS - 1}", slots, "a hero's commands share one"),
        (UNSLOTTED, await wire.depth(UNSLOTTED), "for a wrong routing key"),
        (DEAD_LETTERS, letters, "set aside for a person"),
    ):
        shown.add_row(name, str(depth.ready), str(depth.consumers), Text(what, style="dim"))
    shown.add_row(EVENT_LOG, "stream", "", Text("every event of the last days", style="dim"))
    return shown


async def commands(wire: Wire) -> Depth:
    """The command queues of all slots together."""
    depths = [await wire.depth(f"{COMMANDS}.{slot:02d}") for slot in range(SLOTS)]
    return Depth(sum(depth.ready for depth in depths), sum(depth.consumers for depth in depths))


def letter(found: DeadLetter, published: bytes) -> Panel:
    """The untouched body and why it was set aside."""
    require(found.body == published, "a dead letter holds the body untouched")
    require(found.headers.get("x-dead-letter-reason") == "invalid_command", "the letter tells its reason")
    shown = Table.grid(padding=(0, 2))
    for name in sorted(found.headers.keys() - _BROKER_HEADERS):
        shown.add_row(Text(name, style="dim"), Text(str(found.headers[name])))
    shown.add_row(Text("body, untouched", style="dim"), Text(found.body.decode(), style="dim"))
    return Panel(shown, title="the dead letter", title_align="left", border_style="red")
