"""What will be published in one run, all of it decided by the seed: commands, their ids, copies, and when.

A hero's name carries its own number and that of the command, so that every effect says where it came from.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from contracts.envelope import Command
from contracts.heroes import (
    CreateHero,
    CreateHeroData,
    DeleteHero,
    DeleteHeroData,
    UpdateHero,
    UpdateHeroData,
)

HEROES = 100
SOURCE = "/faults"
DELETED_SHARE, VERSIONED_SHARE, WRONG_VERSION_SHARE, COPIED_SHARE = 0.2, 0.3, 0.3, 0.05
SHORT_COPY_DELAY_SECONDS, LONG_COPY_DELAY_SECONDS = 0.5, 45.0


@dataclass(frozen=True, slots=True)
class Line:
    """One command before its hero's id is known."""

    command_id: str
    kind: str
    name: str | None
    expected_version: int | None = None
    copy_after_seconds: float | None = None  # published once more, so long after its confirm

    def command(self, hero_id: int | None) -> Command:
        """Always the same for the same hero id."""
        given = {"source": SOURCE, "id": self.command_id, "time": "2026-01-02T03:04:05Z"}
        if self.kind == "hero.create":
            return CreateHero.new(CreateHeroData(name=self.name or "", secret_name="nobody knows"), **given)
        assert hero_id is not None, "only a create needs no id"
        if self.kind == "hero.delete":
            return DeleteHero.new(DeleteHeroData(hero_id=hero_id, expected_version=self.expected_version), **given)
        data = UpdateHeroData(
            hero_id=hero_id, changes={"name": self.name or ""}, expected_version=self.expected_version
        )
        return UpdateHero.new(data, **given)


@dataclass(frozen=True, slots=True)
class Script:
    """Each hero's lines, and whose turn is when: (seconds, hero), in the order of time."""

    lines: dict[str, Sequence[Line]]
    turns: Sequence[tuple[float, str]]


def script(seed: int, commands: int, seconds: float) -> Script:
    """So many commands spread over so many seconds, a fifth of them in bursts."""
    dice = random.Random(seed)  # noqa: S311 - a run is repeated by its seed; nothing is kept secret by it
    heroes = [f"h{number:03d}" for number in range(min(HEROES, commands // 3))]
    lines = {hero: _life(dice, hero, commands // len(heroes)) for hero in heroes}
    whose = [hero for hero in heroes for _ in lines[hero]]
    dice.shuffle(whose)
    bursts = [dice.uniform(0, seconds) for _ in range(5)]
    moments = sorted(dice.choice(bursts) if dice.random() < 0.2 else dice.uniform(0, seconds) for _ in whose)
    return Script(lines, list(zip(moments, whose, strict=True)))


def _life(dice: random.Random, hero: str, length: int) -> Sequence[Line]:
    ends_deleted = dice.random() < DELETED_SHARE
    lines, version = [_line(dice, "hero.create", f"{hero}-0000")], 1
    for number in range(1, length):
        left = length - number
        if ends_deleted and left == 2:
            lines.append(_line(dice, "hero.delete", None))
            continue
        wanted = None
        if dice.random() < VERSIONED_SHARE and not (ends_deleted and left == 1):
            wanted = version + dice.choice([-1, 1, 7]) if dice.random() < WRONG_VERSION_SHARE else version
        lines.append(_line(dice, "hero.update", f"{hero}-{number:04d}", wanted or None))
        version += wanted in {None, 0, version}
    return lines


def _line(dice: random.Random, kind: str, name: str | None, expected_version: int | None = None) -> Line:
    copy_after = None
    if dice.random() < COPIED_SHARE:
        copy_after = dice.uniform(0, dice.choice([SHORT_COPY_DELAY_SECONDS, LONG_COPY_DELAY_SECONDS]))
    return Line(str(UUID(int=dice.getrandbits(128), version=4)), kind, name, expected_version, copy_after)
