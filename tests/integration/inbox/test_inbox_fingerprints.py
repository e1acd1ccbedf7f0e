"""The inbox knows a command by its content: a resend is the same command, and another content under its id is not."""

import json
from hashlib import sha256
from typing import Any

import pytest

from contracts.heroes import CreateHero
from tests.harness.claims import handled, look
from tests.harness.commands import create, delete, update
from worker.outcomes import Outcome
from worker.persistence.database import Database
from worker.persistence.inbox import IdReused, fingerprint


@pytest.mark.parametrize(
    "other",
    [
        lambda first: create(name="Somebody else", id=first.id),
        lambda first: create(name="Ada", secret_name="another", id=first.id),
        lambda first: create(name="Ada", age=1, id=first.id),
        lambda first: delete(7, id=first.id),
        lambda first: update(7, {"name": "Ada"}, id=first.id),
    ],
)
async def test_an_id_with_other_content_is_reused(database: Database, other: Any) -> None:
    first = create(name="Ada")
    await handled(database, first)
    assert isinstance(await look(database, other(first)), IdReused)


async def test_a_resend_with_another_envelope_is_the_same_command(database: Database) -> None:
    """The author may have sent it at another time and in another conversation."""
    first = create(name="Ada")
    await handled(database, first)
    later: dict[str, Any] = {
        "time": "2030-01-01T00:00:00Z",
        "correlationid": "other",
        "expirytime": "2031-01-01T00:00:00Z",
    }
    assert isinstance(await look(database, create(name="Ada", id=first.id, **later)), Outcome)


def test_a_fingerprint_is_of_the_content_and_not_of_its_spelling() -> None:
    command = create(name="Žofie", secret_name="s", age=3)
    document = json.loads(command.to_json())
    turned = {name: document[name] for name in reversed(document)}
    turned["data"] = {name: document["data"][name] for name in reversed(document["data"])}
    for text_of_it in (json.dumps(turned), json.dumps(turned, indent=2), json.dumps(turned, ensure_ascii=False)):
        assert fingerprint(CreateHero.model_validate_json(text_of_it)) == fingerprint(command)


def test_fingerprints_tell_contents_apart() -> None:
    """Also an absent field from a null one: they are different orders."""
    absent = json.loads(create(name="a", secret_name="b", age=None).to_json())
    del absent["data"]["age"]
    different = [
        create(name="a", secret_name="b", age=None),
        CreateHero.model_validate_json(json.dumps(absent)),
        create(name="b", secret_name="a"),
        create(name="a", secret_name="b", age=0),
        update(1, {"name": "a"}),
        update(1, {"name": "a", "age": None}),
        update(1, {"name": "a"}, expected_version=1),
        update(2, {"name": "a"}),
        delete(1),
        delete(2),
        delete(1, expected_version=1),
    ]
    assert len({fingerprint(command) for command in different}) == len(different)
    assert {len(fingerprint(command)) for command in different} == {32}


def test_a_fingerprint_never_changes_between_releases() -> None:
    """A worker of tomorrow must know what one of today has handled."""
    command = update(42, {"name": "Ada", "age": None}, expected_version=3)
    written = b'{"changes":{"age":null,"name":"Ada"},"expected_version":3,"hero_id":42}'
    assert fingerprint(command) == sha256(b"1\0hero.update\0" + written).digest()
    assert fingerprint(command).hex() == "204d6415a80c4464b12ad8f4efe52d0ce575495e01fb79b9b4b8d74b1302f084"
