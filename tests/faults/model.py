"""What must come of one hero's commands, applied one after another in the order of publication."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.faults.history import Sent


@dataclass(frozen=True)
class Hero:
    """A hero as it should be."""

    name: str
    version: int


@dataclass(frozen=True)
class Expected:
    """How a command must end: the type of its event, and the hero after it or the code of the rejection."""

    command: Sent
    kind: str
    hero: Hero | None = None
    code: str | None = None

    @property
    def outcome(self) -> str:
        """The word in the inbox."""
        return "rejected" if self.code else "applied"


def expected(commands: Iterable[Sent]) -> tuple[Sequence[Expected], Hero | None]:
    """Each command's end, and the hero that is there at last."""
    hero: Hero | None = None
    ends = []
    for command in commands:
        end = _end(command, hero)
        ends.append(end)
        if end.code is None:
            hero = None if command.kind == "hero.delete" else end.hero
    return ends, hero


def _end(command: Sent, hero: Hero | None) -> Expected:
    name = command.name or ""
    if command.kind == "hero.create":
        return Expected(command, "hero.created", Hero(name, 1))
    if hero is None:
        return Expected(command, "hero.command_rejected", code="hero_not_found")
    if command.expected_version not in {None, hero.version}:
        return Expected(command, "hero.command_rejected", code="version_conflict")
    if command.kind == "hero.delete":
        return Expected(command, "hero.deleted", hero)
    return Expected(command, "hero.updated", Hero(name, hero.version + 1))
