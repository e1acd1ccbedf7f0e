"""How a body is made that is wrong, or odd, in one place and good in all others."""

import json
from dataclasses import dataclass, field
from typing import Any

from tests.harness.commands import raw_create, spliced

SECRET = "kept-to-myself"

LIMIT = 1_048_576
CREATED, REFUSED = "hero.created", "hero.command_rejected"

NOBODY = 2**63 - 1
"""The largest id; no hero has it."""


@dataclass(frozen=True, slots=True)
class Case:
    """A body, and the id that can be read of it, if any."""

    name: str
    body: bytes
    command_id: str | None = None
    reason: str = "invalid_command"
    properties: dict[str, Any] = field(default_factory=dict)


ABSENT = object()

GOOD_DATA = {"name": SECRET, "secret_name": SECRET}

NESTED_ARRAYS = b"[" * 10_000 + b"]" * 10_000

NESTED_OBJECTS = b'{"a":' * 10_000 + b"1" + b"}" * 10_000

HUGE = b"1" + b"0" * 400


def attributes_of(**attributes: Any) -> dict[str, Any]:
    """A good command's, but for these; one that is ABSENT is left out."""
    made = raw_create(**{"data": GOOD_DATA, **attributes})
    return {name: value for name, value in made.items() if value is not ABSENT}


def case(name: str, /, *, reason: str = "invalid_command", token: bytes | None = None, **attributes: Any) -> Case:
    """A command that is wrong in these attributes; its id can still be read."""
    command = attributes_of(**attributes)
    body = json.dumps(command).encode() if token is None else spliced(command, token)
    return Case(name, body, command["id"], reason)


def unread(name: str, token: bytes | None = None, /, **attributes: Any) -> Case:
    """The same where no id can be read."""
    command = attributes_of(**attributes)
    return Case(name, json.dumps(command).encode() if token is None else spliced(command, token))


def wrong_data(name: str, token: bytes | None = None, /, **fields: Any) -> Case:
    """A create that is wrong in these fields of its data."""
    kept = {key: value for key, value in {**GOOD_DATA, **fields}.items() if value is not ABSENT}
    return case(name, token=token, data=kept)


def wrong_update(name: str, token: bytes | None = None, /, **fields: Any) -> Case:
    """An update that is wrong in these fields of its data."""
    given = {"hero_id": NOBODY, "changes": {"name": SECRET}, **fields}
    kept = {key: value for key, value in given.items() if value is not ABSENT}
    return case(name, token=token, type="hero.update", data=kept)


def wrong_delete(name: str, token: bytes | None = None, /, **fields: Any) -> Case:
    """A delete that is wrong in these fields of its data."""
    return case(name, token=token, type="hero.delete", data={"hero_id": NOBODY, **fields})
