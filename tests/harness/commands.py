"""The one place that makes valid commands for the tests."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from contracts.envelope import Command
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
ID = "3f2b8c1e-9d4a-4c6b-8e7f-0a1b2c3d4e5f"


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


def raw_create(**attributes: Any) -> dict[str, Any]:
    """A valid `hero.create` as a plain document with a fresh id; `attributes` replace and add, right or wrong."""
    data = {"name": "Ada", "secret_name": "nobody knows", "age": 36}
    return {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": SOURCE,
        "type": "hero.create",
        "time": "2026-01-02T03:04:05Z",
        "data": data,
        **attributes,
    }


def document_of(command: Command) -> dict[str, Any]:
    """The command as a plain document, to be written differently or bent."""
    parsed: dict[str, Any] = json.loads(command.to_json())
    return parsed


def spliced(document: Mapping[str, Any], token: bytes) -> bytes:
    """The document with these very bytes in place of the string "@@", for what `json` would not write."""
    body = json.dumps(document).encode()
    assert body.count(b'"@@"') == 1, "exactly one place to splice into"
    return body.replace(b'"@@"', token)
