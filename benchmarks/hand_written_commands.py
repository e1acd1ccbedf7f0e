"""What the hand-written loop knows of each command: how to read it, its statement, and the event that tells of it.

Invariant: the statements and the events are those of the worker.
"""

from typing import Any
from uuid import uuid4

import orjson

ALLOWED = {"name", "secret_name", "age"}
_PUBLIC = " RETURNING id, name, age, version, created_at, updated_at"
_CREATE = "INSERT INTO hero (name, secret_name, age) VALUES ($1::VARCHAR, $2::VARCHAR, $3::INTEGER)" + _PUBLIC  # noqa: S608 - all ours
_THIS = " WHERE id = $1::BIGINT AND ($2::INTEGER IS NULL OR version = $2::INTEGER)" + _PUBLIC
_DELETE = "DELETE FROM hero" + _THIS  # noqa: S608 - all ours
_EVENTS = {"hero.create": "hero.created", "hero.update": "hero.updated", "hero.delete": "hero.deleted"}


def decoded(body: bytes) -> dict[str, Any]:
    """The command, checked as far as it must be. Raises: ValueError."""
    command: dict[str, Any] = orjson.loads(body)
    data = command["data"]
    if command["specversion"] != "1.0" or command["type"] not in _EVENTS:
        raise ValueError(body)
    if command["type"] == "hero.create":
        _require_fields(data, body)
        _require_names(data, ("name", "secret_name"), body)
    elif not isinstance(data["hero_id"], int):
        raise ValueError(body)
    elif command["type"] == "hero.update":
        _require_fields(data["changes"], body)
        _require_names(data["changes"], ALLOWED & data["changes"].keys() - {"age"}, body)
    return command


def statement(command: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
    """The SQL that applies it and tells the hero, and its arguments."""
    data = command["data"]
    if command["type"] == "hero.create":
        return _CREATE, (data["name"], data["secret_name"], data.get("age"))
    which = (data["hero_id"], data.get("expected_version"))
    if command["type"] == "hero.delete":
        return _DELETE, which
    changes = data["changes"]
    sets = ", ".join(f"{name} = ${place}" for place, name in enumerate(changes, 3))
    update = f"UPDATE hero SET {sets}, version = version + 1, updated_at = now(){_THIS}"  # noqa: S608 - names are checked
    return update, (*which, *changes.values())


def event_of(command: dict[str, Any], row: Any, now: Any) -> dict[str, Any]:
    """The CloudEvent that tells what happened."""
    changed = {"changed": sorted(command["data"]["changes"])} if command["type"] == "hero.update" else {}
    return {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "/heroes-worker",
        "type": _EVENTS[command["type"]],
        "time": now,
        "datacontenttype": "application/json",
        "correlationid": command.get("correlationid") or command["id"],
        "causationid": command["id"],
        "subject": str(row["id"]),
        "data": {"hero": dict(row), **changed},
    }


def _require_fields(data: dict[str, Any], body: bytes) -> None:
    age = data.get("age")
    if not ALLOWED.issuperset(data) or not (age is None or (isinstance(age, int) and 0 <= age < 2**31)):
        raise ValueError(body)


def _require_names(data: dict[str, Any], names: Any, body: bytes) -> None:
    if not all(isinstance(data[name], str) and 1 <= len(data[name]) <= 200 for name in names):
        raise ValueError(body)
