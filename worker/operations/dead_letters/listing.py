"""`heroes dead-letters list`: how many there are of each reason and type, since when, and what to do with them.

Only the groups are kept while reading, with --ids a line of each: no letter stays in memory.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
import typer
from rich.table import Table

from worker.messaging.letter import DeadLetter
from worker.operations.calling import AsJson, RabbitmqUrl, console, echo, explained
from worker.operations.dead_letters.advice import advice
from worker.operations.dead_letters.reading import OfReason, OfType, Selection, letters_at, plain

_GROUPS = 1000
_OTHERS = "(others)"

_Ids = Annotated[bool, typer.Option("--ids", help="A line for each letter, oldest first.")]


@dataclass(slots=True)
class Group:
    """The letters of one reason and type."""

    count: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None

    def add(self, moment: datetime | None) -> None:
        """One more."""
        self.count += 1
        if moment is not None:
            self.oldest = min(moment, self.oldest or moment)
            self.newest = max(moment, self.newest or moment)


class Groups:
    """Types are written by publishers: more of them than anybody would read count as others."""

    def __init__(self) -> None:
        self.of: dict[tuple[str, str], Group] = {}
        self.not_asked_for = 0

    def add(self, letter: DeadLetter) -> None:
        """One more letter."""
        key = (letter.reason, letter.type)
        if key not in self.of and len(self.of) >= _GROUPS:
            key = (_OTHERS, _OTHERS)
        self.of.setdefault(key, Group()).add(letter.set_aside_at)

    def documents(self) -> list[dict[str, Any]]:
        """The largest first."""
        largest_first = sorted(self.of.items(), key=lambda item: (-item[1].count, item[0]))
        return [
            {
                "reason": reason,
                "type": kind,
                "count": group.count,
                "oldest": written(group.oldest),
                "newest": written(group.newest),
                "what_to_do": advice(reason),
            }
            for (reason, kind), group in largest_first
        ]


def list_letters(
    rabbitmq_url: RabbitmqUrl,
    reason: OfReason = None,
    kind: OfType = None,
    ids: _Ids = False,
    as_json: AsJson = False,
) -> None:
    """Show how many dead letters there are of each reason and type, and what to do with them. Takes none away."""
    selection, groups = Selection(None, reason, kind), Groups()
    lines: list[str] = []

    def add(letter: DeadLetter) -> None:
        if not selection.matches(letter):
            groups.not_asked_for += 1
            return
        groups.add(letter)
        if ids:
            lines.append(_line(letter, as_json=as_json))

    async def read() -> None:
        async with letters_at(rabbitmq_url) as opened:
            await opened.fold(add)

    with explained():
        asyncio.run(read())
    # Only now that the letters are back: who reads slowly would let the connection die with them in hand.
    for line in lines:
        echo(line)
    if not ids:
        _print(groups, as_json=as_json)


def _line(letter: DeadLetter, *, as_json: bool) -> str:
    moment = written(letter.set_aside_at)
    if as_json:
        line = {"id": letter.id, "reason": letter.reason, "type": letter.type, "set_aside_at": moment}
        return orjson.dumps(line).decode()
    return plain(f"{letter.id}  {letter.reason}  {letter.type}  {moment or ''}").plain


def _print(groups: Groups, *, as_json: bool) -> None:
    documents = groups.documents()
    total = sum(document["count"] for document in documents)
    if as_json:
        told = {"total": total, "not_asked_for": groups.not_asked_for, "groups": documents}
        echo(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
        return
    if documents:
        console().print(_table(documents))
        for reason, what_to_do in {each["reason"]: each["what_to_do"] for each in documents}.items():
            console().print(plain(f"{reason}: {what_to_do}"))
    unasked = f"; not asked for: {groups.not_asked_for}" if groups.not_asked_for else ""
    console().print(f"{total} dead letters{unasked}" if total != 1 else f"1 dead letter{unasked}")


def _table(groups: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("reason", no_wrap=True)  # what one copies into --reason
    table.add_column("type", overflow="fold")
    for name in ("count", "oldest", "newest"):
        table.add_column(name, no_wrap=True, justify="right" if name == "count" else "left")
    for group in groups:
        table.add_row(*(plain(str(group[name] or "")) for name in ("reason", "type", "count", "oldest", "newest")))
    return table


def written(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None
