"""The commands that flow while workers are killed, and the verdict on what came of them in the end."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from contracts.envelope import Command
from tests.harness.commands import create, update
from tests.harness.ledger import Ledger, everything_heard, leftovers
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire

_HEROES = 3
_DUPLICATE_EVERY = 3


@dataclass(slots=True)
class Traffic:
    """Heroes of age 0 whose n-th update sets their age to n, and new heroes beside them."""

    wire: Wire
    sent: list[Command] = field(default_factory=list)
    heroes: list[int] = field(default_factory=list)
    ages: dict[int, int] = field(default_factory=dict)

    async def begin(self) -> list[Command]:
        """The heroes are asked for."""
        creates = [self._create() for _ in range(_HEROES)]
        await self._in_order(creates)
        return creates

    async def know_heroes(self) -> None:
        """Once the first creates are announced, the others are about these heroes."""
        if not self.heroes:
            events = [(await self.wire.events_of(command.id))[0] for command in self.sent[:_HEROES]]
            self.heroes = [event["data"]["hero"]["id"] for event in events]
            self.ages = dict.fromkeys(self.heroes, 0)

    async def some(self) -> list[Command]:
        """One more command for each hero and a new hero: confirmed, those of one hero one after the other."""
        commands = [self._create(), *(self._update(hero) for hero in self.heroes)]
        await asyncio.gather(*(self._in_order([command]) for command in commands))
        return commands

    def more(self, number: int) -> tuple[list[list[Command]], set[str]]:
        """Commands still to be sent, in rows of which each keeps its order; now and then one stands there twice.

        Also the ids of those that stand there once.
        """
        rows: list[list[Command]] = [[self._create(), self._create()]]
        rows += [[self._update(hero), self._update(hero)] for hero in self.heroes]
        once = {command.id for row in rows for command in row}
        if number % _DUPLICATE_EVERY == 0:
            row = rows[1 + number // _DUPLICATE_EVERY % _HEROES]
            row.insert(1, row[0])
            once.discard(row[0].id)
        return rows, once

    async def send(self, rows: Sequence[Sequence[Command]]) -> None:
        """The broker has confirmed all of them."""
        await asyncio.gather(*(self._in_order(row) for row in rows))

    async def _in_order(self, commands: Sequence[Command]) -> None:
        for command in commands:
            await self.wire.send(command)

    def _create(self) -> Command:
        command = create(name=f"Hero {len(self.sent)}", age=0)
        self.sent.append(command)
        return command

    def _update(self, hero: int) -> Command:
        self.ages[hero] += 1
        command = update(hero, {"age": self.ages[hero]})
        self.sent.append(command)
        return command


async def nothing_is_owed(stage: Stage) -> None:
    """Every row says that its events are out."""

    async def none() -> bool:
        return not await stage.rows("SELECT 1 FROM inbox WHERE published_at IS NULL LIMIT 1")

    await eventually(none, "every row is marked as published", within_seconds=30)


async def judge(stage: Stage, traffic: Traffic) -> int:
    """Nothing was lost or doubled and everything kept its order, with no worker about; how many events came again."""
    assert await leftovers(stage) == []
    assert traffic.wire.letters == []
    ledger = await everything_heard(traffic.wire)
    ledger.assert_one_content_each()
    ledger.assert_one_event_each(traffic.sent)
    await _assert_rows(stage, traffic, ledger)
    await _assert_heroes(stage, traffic, ledger)
    # the sentinel is no event of theirs
    heard = [message for message in traffic.wire.events if message.message_id in ledger.contents]
    return len(heard) - len(ledger.contents)


async def _assert_rows(stage: Stage, traffic: Traffic, ledger: Ledger) -> None:
    ids = [command.id for command in traffic.sent]
    rows = await stage.rows("SELECT command_id::text, outcome, events FROM inbox WHERE command_id = ANY($1)", ids)
    assert sorted(row["command_id"] for row in rows) == sorted(ids), "each command has exactly one row"
    assert {row["outcome"] for row in rows} == {"applied"}
    recorded = {row["command_id"]: [event["id"] for event in json.loads(row["events"])] for row in rows}
    assert recorded == ledger.ids_of, "what was announced is what was recorded"


async def _assert_heroes(stage: Stage, traffic: Traffic, ledger: Ledger) -> None:
    by_hero = ledger.by_hero()
    for hero, age in traffic.ages.items():
        told = [(event["data"]["hero"]["version"], event["data"]["hero"]["age"]) for event in by_hero[hero]]
        assert told == [(number + 1, number) for number in range(age + 1)], f"hero {hero}: {told}"
    expected = {hero: (age + 1, age) for hero, age in traffic.ages.items()}
    rows = await stage.rows("SELECT id, version, age FROM hero WHERE id = ANY($1)", list(by_hero))
    found = {row["id"]: (row["version"], row["age"]) for row in rows}
    assert found == {hero: expected.get(hero, (1, 0)) for hero in by_hero}
    creates = sum(command.type == "hero.create" for command in traffic.sent)
    assert len(by_hero) == creates, "each create made one hero"
