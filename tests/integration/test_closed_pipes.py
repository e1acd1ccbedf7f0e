"""Whoever has read enough, as `head` has, closes the pipe, and disks are full: no command line takes it for anything
else, what it does is done to the end, and letters stay in their order.
"""

import json
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

_NOBODY_READS = "reading, writing = os.pipe(); os.close(reading); os.dup2(writing, 1)"
_NO_ROOM = "os.dup2(os.open('/dev/full', os.O_WRONLY), 1)"
_NO_ROOM_FOR_ERRORS = "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)"
_SMALL = "import worker.messaging.letterbox as l; l.FIRST_WINDOW = 4"  # two windows of letters are one too many
_UNWRITABLE, _UNREAD = 74, 141
_SENTENCE = "the output can't be written: No space left on device\n"
_EVENTS = ("events", "--from-start", "--no-follow")
_PLAIN = ((*LIST, "--ids"), LIST, ("queues",), ("queues", "--watch"), _EVENTS, ("check",))
_LOOKS = [*_PLAIN, *((*arguments, "--json") for arguments in _PLAIN)]


@pytest_asyncio.fixture(loop_scope="session")
async def letters(client: HeroesClient, hole: Pigeonhole) -> list[Command]:
    """In their queue, oldest first; and an event in the log."""
    await client.create(name="Ada", secret_name="s")
    commands: list[Command] = [create() for _ in range(6)]
    for one in commands:
        await hole.put_command(one)
    return commands


async def _are_in_order(hole: Pigeonhole, letters: list[Command]) -> None:
    await hole.holds(len(letters))
    assert await hole.bodies(len(letters)) == [one.to_json() for one in letters]


@pytest.mark.parametrize("arguments", _LOOKS, ids=" ".join)
async def test_a_command_line_that_nobody_reads_ends_in_silence(
    press: Press, stage: Stage, hole: Pigeonhole, letters: list[Command], arguments: tuple[str, ...]
) -> None:
    said = await press.run(stage.environment(), *arguments, before=f"{_NOBODY_READS}; {_SMALL}")
    said.ends(_UNREAD)
    assert said.output == ""
    await _are_in_order(hole, letters)


@pytest.mark.parametrize("arguments", _LOOKS, ids=" ".join)
async def test_a_full_disk_is_told_in_a_sentence(
    press: Press, stage: Stage, hole: Pigeonhole, letters: list[Command], arguments: tuple[str, ...]
) -> None:
    said = await press.run(stage.environment(), *arguments, before=f"{_NO_ROOM}; {_SMALL}")
    said.ends(_UNWRITABLE)
    assert said.output == _SENTENCE
    await _are_in_order(hole, letters)


@pytest.mark.parametrize(("before", "code"), [(_NO_ROOM, _UNWRITABLE), (_NOBODY_READS, _UNREAD)])
async def test_setup_is_done_to_the_end_whoever_reads_it(press: Press, apart: Stage, before: str, code: int) -> None:
    (await press.run(apart.environment(), "setup", before=before)).ends(code)
    assert await apart.rows("SELECT FROM hero") == []
    (await press.run(apart.environment(), "queues")).ends(DONE)


async def test_what_was_dropped_is_on_record_whoever_reads_it(
    press: Press, stage: Stage, hole: Pigeonhole, letters: list[Command], tmp_path: Path
) -> None:
    log = tmp_path / "dropped.jsonl"
    arguments = (*DROP, "--all", "--yes", "--why", "drill", "--log", str(log))
    (await press.run(stage.environment(), *arguments, before=_NO_ROOM)).ends(_UNWRITABLE, _SENTENCE)
    assert [json.loads(line)["id"] for line in log.read_text().splitlines()] == [one.id for one in letters]
    await hole.holds(0)


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
