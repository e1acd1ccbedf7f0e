"""A publisher that goes on all the time, whatever happens, and keeps what it has sent until that is confirmed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from contracts.client import HeroesClient, NotConfirmedError
from contracts.envelope import Command
from tests.harness.commands import create

PAUSE_SECONDS = 0.05


@dataclass(slots=True)
class Traffic:
    """`good` are the commands that must take effect, each once."""

    client: HeroesClient
    good: list[Command] = field(default_factory=list)
    _stopping: bool = False
    _going: "asyncio.Task[None] | None" = None

    @classmethod
    @asynccontextmanager
    async def to(cls, rabbitmq_url: str) -> AsyncIterator["Traffic"]:
        """It goes on meanwhile."""
        async with HeroesClient(rabbitmq_url, source="/drills", timeout_seconds=15) as client:
            traffic = cls(client)
            traffic._going = asyncio.create_task(traffic._go_on())
            try:
                yield traffic
            finally:
                traffic._going.cancel()
                await asyncio.wait({traffic._going})

    async def burst(self, count: int, name: str = "Burst") -> None:
        """So many more good commands at once."""
        await self.send([create(name=f"{name} {number}") for number in range(count)])

    async def send(self, commands: Sequence[Command]) -> None:
        """All of them are confirmed, and count as good."""
        self.good += commands
        await asyncio.gather(*map(self._confirmed, commands))

    async def stop(self) -> None:
        """Nothing more is sent, and everything is confirmed."""
        self._stopping = True
        assert self._going is not None
        await self._going

    async def _go_on(self) -> None:
        while not self._stopping:
            await self.send([create(name=f"Steady {len(self.good)}")])
            await asyncio.sleep(PAUSE_SECONDS)

    async def _confirmed(self, command: Command) -> None:
        while True:
            try:
                await self.client.send(command)
            except NotConfirmedError:
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return
