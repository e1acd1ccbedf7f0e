"""The one place that makes valid commands for the tests."""

from typing import Any

from contracts.heroes import (
    CreateHero,
    CreateHeroData,
    DeleteHero,
    DeleteHeroData,
    HeroChanges,
    UpdateHero,
    UpdateHeroData,
)

SOURCE = "/tests"


def create(name: str = "Ada", secret_name: str = "nobody knows", age: int | None = None, **more: Any) -> CreateHero:
    """Creates a hero; `more` are attributes of the envelope."""
    data = CreateHeroData(name=name, secret_name=secret_name, age=age)
    return CreateHero.new(data, source=SOURCE, **more)


def update(hero_id: int, changes: HeroChanges, expected_version: int | None = None, **more: Any) -> UpdateHero:
    """Updates a hero."""
    data = UpdateHeroData(hero_id=hero_id, changes=changes, expected_version=expected_version)
    return UpdateHero.new(data, source=SOURCE, **more)


def delete(hero_id: int, expected_version: int | None = None, **more: Any) -> DeleteHero:
    """Deletes a hero."""
    return DeleteHero.new(DeleteHeroData(hero_id=hero_id, expected_version=expected_version), source=SOURCE, **more)
