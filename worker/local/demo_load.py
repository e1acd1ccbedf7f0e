"""2 000 commands at once, and the count afterwards: as many rows and as many events, not one more or less.

Invariant: the rate is taken from the first publish to the last event, as somebody outside sees it.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.progress import Progress, TaskID

from contracts.client import HeroesClient
from contracts.heroes import CreateHero, CreateHeroData, HeroCreated
from worker.local.demo_promise import BrokenPromiseError, require
from worker.local.demo_story import SOURCE
from worker.local.demo_tables import rows
from worker.local.demo_wire import TIMEOUT_SECONDS, Heard, Wire

COMMANDS = 2_000
_IN_FLIGHT = 100
_NAME = "Recruit"
_LOOK_EVERY_SECONDS = 0.02


@dataclass(slots=True)
class Load:
    """Sends the commands and hears their events."""

    client: HeroesClient
    wire: Wire
    bar: Progress

    async def run(self) -> float:
        """Commands a second, all of them heard as created."""
        commands = [_recruit(number) for number in range(1, COMMANDS + 1)]
        sent = self.bar.add_task("commands confirmed", total=COMMANDS)
        heard = self.bar.add_task("events heard      ", total=COMMANDS)
        began = time.monotonic()
        publishers = [asyncio.create_task(self._publish(part, sent)) for part in _parts(commands)]
        try:
            await asyncio.gather(*publishers, self._hear({command.id for command in commands}, heard))
        finally:
            for publisher in publishers:
                publisher.cancel()
        return COMMANDS / (self._last_at(commands) - began)

    async def _publish(self, commands: Iterable[CreateHero], sent: TaskID) -> None:
        for command in commands:
            await self.client.send(command)
            self.bar.advance(sent)

    async def _hear(self, missing: set[str], heard: TaskID) -> None:
        while missing := missing.difference(self.wire.heard):
            self.bar.update(heard, completed=COMMANDS - len(missing))
            try:
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    await self.wire.changed()
                await asyncio.sleep(_LOOK_EVERY_SECONDS)  # not at each event: the worker needs the processor, too
            except TimeoutError:
                raise BrokenPromiseError(f"{len(missing)} events did not come") from None
        self.bar.update(heard, completed=COMMANDS)

    def _last_at(self, commands: Iterable[CreateHero]) -> float:
        return max(self.wire.heard[command.id][0].at for command in commands)


async def check(wire: Wire, database_url: str) -> None:
    """As many rows as commands and as many distinct events, each of a hero that is there."""
    found = await rows(database_url, "SELECT id, name, version FROM hero WHERE name LIKE $1", f"{_NAME} %")
    require(len(found) == COMMANDS, f"{COMMANDS} new rows, not {len(found)}")
    require(len({row["name"] for row in found}) == COMMANDS, "every row is of another command")
    recruits = _created(wire)
    require(len({one.event.id for one in recruits}) == COMMANDS, f"{COMMANDS} distinct events")
    announced = {one.event.data.hero.id for one in recruits if isinstance(one.event, HeroCreated)}
    require(announced == {row["id"] for row in found}, "the events are of those rows")
    query = "SELECT count(*) AS count FROM inbox WHERE outcome = 'applied' AND command_id::text = ANY($1)"
    handled = await rows(database_url, query, [one.event.causationid for one in recruits])
    require(handled[0]["count"] == COMMANDS, f"{COMMANDS} inbox rows")


def _created(wire: Wire) -> Sequence[Heard]:
    every = (one for events in wire.heard.values() for one in events)
    return [one for one in every if isinstance(one.event, HeroCreated) and one.event.data.hero.name.startswith(_NAME)]


def _recruit(number: int) -> CreateHero:
    data = CreateHeroData(name=f"{_NAME} {number}", secret_name=f"secret {number}", age=number % 100)
    return CreateHero.new(data, source=SOURCE)


def _parts(commands: Sequence[CreateHero]) -> Iterable[Sequence[CreateHero]]:
    return (commands[start::_IN_FLIGHT] for start in range(_IN_FLIGHT))
