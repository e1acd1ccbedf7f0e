"""What one command left behind: its row, its event, and whatever a duplicate must leave as it is."""

import json
from collections.abc import Callable
from typing import Any

from aio_pika.abc import AbstractIncomingMessage

from contracts.envelope import Command
from tests.harness.commands import create, delete, update
from tests.harness.stage import Stage
from tests.harness.wire import Wire

SECRET = "kept-to-myself"


def some_command(kind: str, hero_id: int) -> Command:
    """One of this kind, about this hero if it is about one that exists."""
    made: dict[str, Callable[[], Command]] = {
        "create": lambda: create(secret_name=SECRET, age=1),
        "update": lambda: update(hero_id, {"age": 2, "secret_name": SECRET}),
        "delete": lambda: delete(hero_id),
        "rejected": lambda: update(hero_id, {"age": 2}, expected_version=7),
        "expired": lambda: delete(hero_id, expirytime="2001-02-03T04:05:06Z"),
    }
    return made[kind]()


async def new_hero(wire: Wire, name: str = "Ada", secret_name: str = SECRET, age: int | None = 36) -> int:
    """The id of a hero that a command has just made."""
    event = await wire.outcome(create(name=name, secret_name=secret_name, age=age))
    hero_id: int = event["data"]["hero"]["id"]
    return hero_id


async def recorded(stage: Stage, command: Command) -> tuple[str, str, list[dict[str, Any]]]:
    """The command's row: type, outcome, events."""
    row = await stage.inbox(command.id)
    assert row is not None
    return row["command_type"], row["outcome"], json.loads(row["events"])


async def left_behind(stage: Stage, command: Command, hero_id: int) -> dict[str, Any]:
    """What a duplicate must leave as it is."""
    (found,) = await stage.rows(
        "SELECT (SELECT to_jsonb(inbox) FROM inbox WHERE command_id = $1) AS inbox,"
        " (SELECT to_jsonb(hero) FROM hero WHERE id = $2) AS hero,"
        " (SELECT count(*) FROM hero WHERE name <> 'Barrier') AS heroes",
        command.id,
        hero_id,
    )
    return {**found, "inbox": json.loads(found["inbox"])}


def properties_of(message: AbstractIncomingMessage) -> tuple[object, ...]:
    """Everything of a message but its body."""
    return (
        message.message_id,
        message.type,
        message.correlation_id,
        message.content_type,
        message.delivery_mode,
        message.timestamp,
        message.app_id,
        dict(message.headers),
        message.routing_key,
    )
