"""The house without heroes: the example's files in their place, and everything else runs unchanged."""

import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
import pytest
import pytest_asyncio

from contracts.channels import slot
from tests.harness.house import MISSIONS, ROOT, built
from tests.harness.node import output
from tests.harness.program import Program, started
from tests.harness.stage import Stage
from tests.harness.wire import Wire, document, reason_of

COMMANDS, EVENTS, DEAD_LETTERS = "missions.commands", "missions.events", "missions.dead_letters"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("house"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def worker(corner: Stage, house: Path) -> AsyncIterator[Program]:
    """Prepares its own tables and queues, works, and in the end leaves as it should."""
    async with started(corner.environment(), str(house / "run.py")) as program:
        await program.said("takes commands")
        yield program
        program.tell(signal.SIGTERM)
        assert await program.ended() == 0, program.output


def test_the_handler_in_the_readme_is_the_one_in_the_file() -> None:
    shown = (MISSIONS.parent / "README.md").read_text().split("```python\n")[1].split("```")[0]
    assert shown in (MISSIONS / "worker" / "missions.py").read_text()


@asynccontextmanager
async def listening(stage: Stage) -> AsyncIterator[Wire]:
    """Everything that comes out, from now on."""
    async with await aio_pika.connect(stage.rabbitmq_url) as connection:
        wire = Wire(await connection.channel(on_return_raises=True))
        heard = await wire.channel.declare_queue(exclusive=True)
        await heard.bind(EVENTS, "#")
        await heard.consume(wire._keep(wire.events), no_ack=True)
        letters = await wire.channel.get_queue(DEAD_LETTERS)
        await letters.consume(wire._keep(wire.letters), no_ack=True)
        yield wire


@pytest_asyncio.fixture(loop_scope="session")
async def missions(corner: Stage, worker: Program) -> AsyncIterator[Wire]:
    async with listening(corner) as wire:
        yield wire


def command(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"specversion": "1.0", "id": str(uuid4()), "source": "/tests", "type": kind, "data": data}


async def send(wire: Wire, envelope: dict[str, Any], **properties: Any) -> dict[str, Any]:
    """The first event that it caused."""
    key = str(envelope["data"].get("mission_id", envelope["id"]))
    await wire.publish(json.dumps(envelope).encode(), slot(key), exchange=COMMANDS, **properties)
    return (await wire.events_of(envelope["id"]))[0]


async def test_a_mission_is_planned_and_finished(corner: Stage, missions: Wire) -> None:
    planned = await send(missions, command("mission.plan", {"title": "To the moon"}))
    assert planned["type"] == "mission.planned"
    mission_id = planned["data"]["mission"]["id"]
    finished = await send(missions, command("mission.finish", {"mission_id": mission_id}))
    assert finished["data"] == {"mission": {"id": mission_id, "title": "To the moon", "finished": True}}
    rows = await corner.rows("SELECT title, finished FROM mission WHERE id = $1", mission_id)
    assert [dict(row) for row in rows] == [{"title": "To the moon", "finished": True}]


async def test_a_business_no_is_announced_as_one_of_missions(missions: Wire) -> None:
    rejected = await send(missions, command("mission.finish", {"mission_id": 2**62}))
    assert (rejected["type"], rejected["data"]["code"]) == ("mission.command_rejected", "no_open_mission")


async def test_a_duplicate_takes_effect_once_and_is_answered_with_the_same_event(corner: Stage, missions: Wire) -> None:
    plan = command("mission.plan", {"title": "Only once"})
    first = await send(missions, plan)
    async with missions.replies() as replies:
        await send(missions, plan, reply_to=replies.name, correlation_id="again")
        assert document(await replies.next()) == first
    assert len(await corner.rows("SELECT 1 FROM mission WHERE title = 'Only once'")) == 1


@pytest.mark.parametrize(
    ("envelope", "reason"),
    [
        (command("mission.plan", {"title": ""}), "invalid_command"),
        (command("hero.create", {"name": "Ada", "secret_name": "Countess"}), "unknown_type"),
    ],
    ids=["invalid", "a hero"],
)
async def test_what_is_no_command_is_set_aside(missions: Wire, envelope: dict[str, Any], reason: str) -> None:
    event = await send(missions, envelope)
    assert (event["type"], event["data"]["reason"]) == ("mission.command_dead_lettered", reason)
    (letter,) = await missions.letters_with(json.dumps(envelope).encode())
    assert reason_of(letter) == reason


async def test_there_are_missions_and_the_tables_of_the_machinery_and_no_heroes(corner: Stage, worker: Program) -> None:
    rows = await corner.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert {row["tablename"] for row in rows} == {"alembic_version", "inbox", "mission", "suspect"}


@pytest.mark.fault  # half a minute of mypy
async def test_the_types_fit(house: Path) -> None:
    files = sorted(str(path.relative_to(MISSIONS)) for path in MISSIONS.rglob("*.py"))
    cache = str(ROOT / ".mypy_cache" / "missions")  # half a minute the first time
    mypy = (sys.executable, "-m", "mypy", "--cache-dir", cache, "--follow-imports=silent")
    await output((*mypy, *files), house, {"PYTHONPATH": ""})
