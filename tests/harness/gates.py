"""Gates whose services are as a test says, and those who stand before them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.harness.stage import eventually
from worker.persistence.gate import Gate
from worker.persistence.trial import Trial


class Service:
    """What a gate probes."""

    def __init__(self) -> None:
        self.is_away = False
        self.probed = 0

    async def probe(self) -> None:
        """Raises while it is away."""
        self.probed += 1
        if self.is_away:
            raise ConnectionError


async def nothing_to_renew() -> None:
    """There are no connections."""


def gate_until(is_well: asyncio.Event) -> Gate:
    """A gate whose only probe has no answer before that."""

    async def probe() -> None:
        await is_well.wait()

    return Gate({"it": probe}, nothing_to_renew)


async def turns() -> None:
    """Every task has gone as far as it can."""
    for _ in range(50):
        await asyncio.sleep(0)


@dataclass(slots=True)
class Visitors:
    """Who was let pass, in this order, each with its trial if it is the one that goes ahead."""

    passed: list[tuple[int, Trial | None]] = field(default_factory=list)
    tasks: Sequence["asyncio.Task[None]"] = ()

    @classmethod
    async def before(cls, gate: Gate, service: Service, count: int) -> "Visitors":
        """So many stand before the gate, which is closed; then the service is back."""
        visitors = cls()
        service.is_away = True
        gate.close("gone")
        visitors.tasks = [asyncio.create_task(visitors._comes(gate, number)) for number in range(count)]
        await asyncio.sleep(0)
        service.is_away = False
        return visitors

    @property
    def numbers(self) -> list[int]:
        """Who they were."""
        return [number for number, _ in self.passed]

    def trial(self, place: int = -1) -> Trial:
        """That of the last one, or of another."""
        trial = self.passed[place][1]
        assert trial is not None
        return trial

    async def go_ahead(self, count: int) -> None:
        """So many have been let pass."""

        async def have_passed() -> bool:
            return len(self.passed) >= count

        await eventually(have_passed, f"{count} have been let pass")

    async def have_all_passed(self) -> None:
        """Nobody waits any more."""
        await asyncio.wait_for(asyncio.gather(*self.tasks), 5)

    async def _comes(self, gate: Gate, number: int) -> None:
        self.passed.append((number, await gate.passed()))
