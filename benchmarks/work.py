"""The kinds of work that contestants are given: what one command asks, and what must be true when all are done.

Invariant: every command of a kind costs the same and succeeds, so that a rate means one thing.
"""

from collections.abc import Callable
from dataclasses import dataclass

from contracts.batch import BatchHeroes, BatchHeroesData, CreateOperation
from contracts.envelope import Command
from contracts.heroes import (
    CreateHero,
    CreateHeroData,
    DeleteHero,
    DeleteHeroData,
    UpdateHero,
    UpdateHeroData,
)

SOURCE = "/benchmarks"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of command; `make` takes its number, from 1."""

    name: str
    make: Callable[[int], Command]
    seeded: bool = False
    """A hero stands for each command beforehand, with its number as id."""
    heroes_left: int = 1
    """For each command, afterwards."""
    events: int = 1
    """For each command."""


def _data(number: int) -> dict[str, str | int]:
    return {"name": f"Hero {number}", "secret_name": f"Secret {number}", "age": number % 100}


def create(number: int) -> Command:
    """A new hero."""
    return CreateHero.new(CreateHeroData.model_validate(_data(number)), source=SOURCE)


def _update(number: int) -> Command:
    changes = {"name": f"Heroine {number}", "age": number % 90}
    return UpdateHero.new(UpdateHeroData.model_validate({"hero_id": number, "changes": changes}), source=SOURCE)


def _delete(number: int) -> Command:
    return DeleteHero.new(DeleteHeroData(hero_id=number), source=SOURCE)


CREATE = Kind("create", create)
UPDATE = Kind("update", _update, seeded=True)
DELETE = Kind("delete", _delete, seeded=True, heroes_left=0)


def batch_of(size: int) -> Kind:
    """Commands that create so many heroes each."""

    def make(number: int) -> Command:
        operations = tuple(
            CreateOperation.model_validate({"op": "create", **_data(number * size + one)}) for one in range(size)
        )
        return BatchHeroes.new(BatchHeroesData(operations=operations), source=SOURCE)

    return Kind(f"batch of {size}", make, heroes_left=size, events=size)
