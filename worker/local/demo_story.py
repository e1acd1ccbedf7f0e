"""The demonstration's commands, each with what must become of it: all the cases that a newcomer asks about.

Invariant: an outcome is shown only after it was heard on the events exchange and found to be as it must.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from contracts.client import HeroesClient
from contracts.envelope import Command
from contracts.heroes import (
    AnyEvent,
    CommandDeadLettered,
    CommandRejected,
    CreateHero,
    CreateHeroData,
    DeleteHero,
    DeleteHeroData,
    HeroChanges,
    HeroCreated,
    HeroDeleted,
    HeroUpdated,
    UpdateHero,
    UpdateHeroData,
)
from worker.local.demo_promise import require
from worker.local.demo_wire import Wire

SOURCE = "/demo"
SECRETS = ("Dive Wilson", "Pedro Parqueador")
DUPLICATE_NOTE = "no second effect, no second event"


@dataclass(frozen=True, slots=True)
class Line:
    """A command beside its outcome; `note` is set where there is more to say than the event does."""

    command: str
    command_id: str
    asked: str
    event: AnyEvent
    milliseconds: float
    note: str = ""


@dataclass(slots=True)
class Story:
    """Tells one command after another, and remembers what is checked later."""

    client: HeroesClient
    wire: Wire
    show: Callable[[Line], None]
    recorded: dict[str, AnyEvent] = field(default_factory=dict)
    malformed: bytes = b""

    async def tell(self) -> None:
        """Every command has its outcome."""
        hero = _created(await self._send(_create("Deadpond", SECRETS[0], 28), "Deadpond, age 28", HeroCreated))
        other = _created(await self._send(_create("Spider-Boy", SECRETS[1]), "Spider-Boy, age unknown", HeroCreated))
        birthday = _update(hero, {"age": 29})
        first = await self._send(birthday, f"hero {hero}: age 29", HeroUpdated)
        await self._send_again(birthday, first)
        stale = _update(hero, {"name": "Deadpool"}, expected_version=1)
        await self._send(stale, f"hero {hero}: name Deadpool, if at version 1", CommandRejected, "version_conflict")
        delete = DeleteHero.new(DeleteHeroData(hero_id=other), source=SOURCE)
        await self._send(delete, f"hero {other}", HeroDeleted)
        late = _update(other, {"age": 16})
        await self._send(late, f"hero {other}: age 16", CommandRejected, "hero_not_found")
        await self._send_malformed()

    async def _send(self, command: Command, asked: str, kind: type[AnyEvent], code: str = "") -> AnyEvent:
        began = time.monotonic()
        reply = await self.client.call(command)
        heard = await self.wire.event_of(command.id)
        require(reply.id == heard.event.id, "the reply is the same event as the one announced")
        require(isinstance(reply, kind), f"{command.type} ends as {kind.__name__}, not {reply.type}")
        require(not code or (isinstance(reply, CommandRejected) and reply.data.code == code), f"the code is {code}")
        self.recorded[command.id] = reply
        self.show(Line(command.type, command.id, asked, heard.event, _since(began, heard.at)))
        return heard.event

    async def _send_again(self, command: Command, first: AnyEvent) -> None:
        began = time.monotonic()
        reply = await self.client.call(command)
        milliseconds = _since(began)
        require(reply == first, "a duplicate is answered with the very same event, version and all")
        asked = "the very same command again"
        self.show(Line(command.type, command.id, asked, reply, milliseconds, DUPLICATE_NOTE))

    async def _send_malformed(self) -> None:
        """Text where a number belongs, as a publisher without our client may send it."""
        good = _create("Rusty-Man", "Tommy Sharp", 48)
        document = json.loads(good.to_json())
        document["data"]["age"] = "forty-eight"
        self.malformed = json.dumps(document).encode()
        began = time.monotonic()
        await self.wire.publish(self.malformed, good.routing_key)
        heard = await self.wire.event_of(good.id)
        event = heard.event
        require(isinstance(event, CommandDeadLettered), f"a malformed command is dead-lettered, not {event.type}")
        self.show(Line(good.type, good.id, 'Rusty-Man, age "forty-eight"', event, _since(began, heard.at)))


def _create(name: str, secret_name: str, age: int | None = None) -> CreateHero:
    return CreateHero.new(CreateHeroData(name=name, secret_name=secret_name, age=age), source=SOURCE)


def _update(hero_id: int, changes: HeroChanges, expected_version: int | None = None) -> UpdateHero:
    data = UpdateHeroData(hero_id=hero_id, changes=changes, expected_version=expected_version)
    return UpdateHero.new(data, source=SOURCE)


def _created(event: AnyEvent) -> int:
    require(isinstance(event, HeroCreated) and event.data.hero.version == 1, "a new hero is at version 1")
    return event.data.hero.id if isinstance(event, HeroCreated) else 0


def _since(began: float, at: float | None = None) -> float:
    return ((time.monotonic() if at is None else at) - began) * 1000
