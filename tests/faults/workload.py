"""Plays a script: each hero's commands one after another, each confirmed before the next, and copies of some later."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tests.faults.clock import Clock
from tests.faults.history import Sent
from tests.faults.listener import Listener
from tests.faults.publisher import Publisher
from tests.faults.script import Line, Script


@dataclass(slots=True)
class Workload:
    """What is being published, and the record of it: each hero's commands in the order of publication."""

    script: Script
    publishers: Sequence[Publisher]
    listener: Listener
    clock: Clock
    sent: dict[str, list[Sent]] = field(default_factory=lambda: defaultdict(list))
    _turns: dict[str, asyncio.Semaphore] = field(default_factory=lambda: defaultdict(lambda: asyncio.Semaphore(0)))
    _copied: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _hurried: asyncio.Event = field(default_factory=asyncio.Event)

    async def play(self) -> None:
        """Everything is confirmed, all copies included."""
        async with asyncio.TaskGroup() as copies:
            async with asyncio.TaskGroup() as heroes:
                for hero in self.script.lines:
                    heroes.create_task(self._live(hero, copies))
                for moment, hero in self.script.turns:
                    await self.clock.reached(moment)
                    self._turns[hero].release()
            self._hurried.set()

    def history(self) -> dict[str, list[Sent]]:
        """The record so far, with the copies counted in."""
        return {hero: [self._complete(one) for one in commands] for hero, commands in self.sent.items()}

    def unanswered(self) -> set[str]:
        """Commands that are confirmed and have no event yet."""
        confirmed = {one.command_id for commands in self.sent.values() for one in commands if one.confirmed}
        return confirmed - self.listener.causes.keys()

    async def _live(self, hero: str, copies: asyncio.TaskGroup) -> None:
        hero_id = None
        for line in self.script.lines[hero]:
            await self._turns[hero].acquire()
            command = line.command(hero_id)
            body, key = command.to_json(), command.routing_key
            record, began = self.sent[hero], self.clock.now
            sent = Sent(hero, line.command_id, line.kind, line.name, line.expected_version, False, first_sent_at=began)
            record.append(sent)
            count = await self._publisher(hero).publish(body, key)
            record[-1] = replace(sent, confirmed=True, copies=count, confirmed_at=self.clock.now)
            if line.copy_after_seconds is not None:
                copies.create_task(self._copy(line, line.copy_after_seconds, body, key))
            if line.kind == "hero.create":
                hero_id = await self.listener.hero_id(line.command_id)

    async def _copy(self, line: Line, delay_seconds: float, body: bytes, key: str) -> None:
        """The end of everything else brings the late ones forward."""
        await self.clock.passed(delay_seconds, unless=self._hurried)
        self._copied[line.command_id] += await self._publisher(line.command_id).publish(body, key)

    def _publisher(self, name: str) -> Publisher:
        return self.publishers[sum(name.encode()) % len(self.publishers)]

    def _complete(self, sent: Sent) -> Sent:
        return replace(sent, copies=sent.copies + self._copied[sent.command_id])
