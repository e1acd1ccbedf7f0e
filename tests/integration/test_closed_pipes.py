"""Whoever has read enough, as `head` has, closes the pipe, and disks are full: no command line takes it for anything
else, what it does is done to the end, and letters stay in their order.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from contracts.client import HeroesClient
from contracts.envelope import Command
from tests.harness.commands import create
from tests.harness.failing import DROP, LIST
from tests.harness.letters import Pigeonhole
from tests.harness.press import DONE, UNREACHABLE, Press
from tests.harness.stage import Stage
from worker.local import Services

_NOBODY_READS = "reading, writing = os.pipe(); os.close(reading); os.dup2(writing, 1)"
_NO_ROOM = "os.dup2(os.open('/dev/full', os.O_WRONLY), 1)"
_NO_ROOM_FOR_ERRORS = "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)"
_SMALL = "import worker.messaging.letterbox as l; l.FIRST_WINDOW = 4"  # two windows of letters are one too many
_UNWRITABLE, _UNREAD = 74, 141
_SENTENCE = "the output can't be written: No space left on device\n"
_EVENTS = ("events", "--from-start", "--no-follow")
_PLAIN = ((*LIST, "--ids"), LIST, ("queues",), ("queues", "--watch"), _EVENTS, ("check",))
_LOOKS = [*_PLAIN, *((*arguments, "--json") for arguments in _PLAIN)]


@dataclass(frozen=True, slots=True)
class Accident:
    """What the output meets, and how a command line ends then."""

    before: str
    code: int
    told: str


_ACCIDENTS = {
    "nobody reads": Accident(_NOBODY_READS, _UNREAD, ""),
    "disk full": Accident(_NO_ROOM, _UNWRITABLE, _SENTENCE),
}
_EACH_ACCIDENT = pytest.mark.parametrize("accident", _ACCIDENTS.values(), ids=_ACCIDENTS)


@dataclass(frozen=True, slots=True)
class Pile:
    """Letters in their queue, oldest first."""

    hole: Pigeonhole
    commands: list[Command]

    async def is_in_order(self) -> None:
        await self.hole.holds(len(self.commands))
        assert await self.hole.bodies(len(self.commands)) == [one.to_json() for one in self.commands]


@pytest_asyncio.fixture(loop_scope="session")
async def pile(client: HeroesClient, hole: Pigeonhole) -> Pile:
    """Six letters; and an event in the log."""
    await client.create(name="Ada", secret_name="s")
    commands: list[Command] = [create() for _ in range(6)]
    for one in commands:
        await hole.put_command(one)
    return Pile(hole, commands)


@_EACH_ACCIDENT
@pytest.mark.parametrize("arguments", _LOOKS, ids=" ".join)
async def test_whoever_looks_hears_no_more_than_what_is_wrong_with_the_output(
    press: Press, stage: Stage, pile: Pile, arguments: tuple[str, ...], accident: Accident
) -> None:
    said = await press.run(stage.environment(), *arguments, before=f"{accident.before}; {_SMALL}")
    said.ends(accident.code)
    assert said.output == accident.told
    await pile.is_in_order()


@_EACH_ACCIDENT
async def test_setup_is_done_to_the_end_whoever_reads_it(press: Press, services: Services, accident: Accident) -> None:
    with services.virtual_host("unread") as rabbitmq_url, services.database("unread") as database_url:
        fresh = Stage(rabbitmq_url, database_url)
        (await press.run(fresh.environment(), "setup", before=accident.before)).ends(accident.code)
        assert await fresh.rows("SELECT FROM hero") == []
        (await press.run(fresh.environment(), "queues")).ends(DONE)


async def test_what_was_dropped_is_on_record_whoever_reads_it(
    press: Press, stage: Stage, pile: Pile, tmp_path: Path
) -> None:
    log = tmp_path / "dropped.jsonl"
    arguments = (*DROP, "--all", "--yes", "--why", "drill", "--log", str(log))
    (await press.run(stage.environment(), *arguments, before=_NO_ROOM)).ends(_UNWRITABLE, _SENTENCE)
    assert [json.loads(line)["id"] for line in log.read_text().splitlines()] == [one.id for one in pile.commands]
    await pile.hole.holds(0)


async def test_a_command_that_took_effect_is_named_where_its_outcome_can_not_be_printed(
    press: Press, stage: Stage, client: HeroesClient
) -> None:
    arguments = ("send", "create", "--name", "Unprinted", "--secret-name", "s")
    said = await press.run(stage.environment(), *arguments, before=_NO_ROOM)
    said.ends(_UNWRITABLE, "hero.created", _SENTENCE)
    command_id = said.output.removeprefix("command ").partition(":")[0]
    assert await stage.inbox(command_id) is not None


async def test_where_errors_can_not_be_printed_their_codes_remain(press: Press, stage: Stage) -> None:
    nowhere = stage.environment(HEROES_RABBITMQ_URL="amqp://heroes:x@127.0.0.1:1/")
    assert (await press.run(nowhere, "queues", before=_NO_ROOM_FOR_ERRORS)).code == UNREACHABLE
