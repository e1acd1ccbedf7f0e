"""Whoever has read enough, as `head` has, closes the pipe, and disks are full: no command line takes it for anything
else, and letters stay in place.
"""

import pytest
import pytest_asyncio

from contracts.client import HeroesClient
from tests.harness.commands import create
from tests.harness.failing import LIST
from tests.harness.letters import Pigeonhole
from tests.harness.press import Press
from tests.harness.stage import Stage

_NOBODY_READS = "reading, writing = os.pipe(); os.close(reading); os.dup2(writing, 1)"
_NO_ROOM = "os.dup2(os.open('/dev/full', os.O_WRONLY), 1)"
_UNWRITABLE, _UNREAD = 74, 141
_EVENTS = ("events", "--from-start", "--no-follow")
_PLAIN = ((*LIST, "--ids"), LIST, ("queues",), ("queues", "--watch"), _EVENTS, ("check",))
_AS_JSON = tuple((*arguments, "--json") for arguments in _PLAIN)


@pytest_asyncio.fixture(loop_scope="session")
async def letters(client: HeroesClient, hole: Pigeonhole) -> Pigeonhole:
    """Three, and an event in the log."""
    await client.create(name="Ada", secret_name="s")
    for _ in range(3):
        await hole.put_command(create())
    return hole


@pytest.mark.parametrize("arguments", [*_PLAIN, *_AS_JSON], ids=" ".join)
async def test_a_command_line_that_nobody_reads_ends_in_silence(
    press: Press, stage: Stage, letters: Pigeonhole, arguments: tuple[str, ...]
) -> None:
    said = await press.run(stage.environment(), *arguments, before=_NOBODY_READS)
    said.ends(_UNREAD)
    assert said.output == ""
    await letters.holds(3)


@pytest.mark.parametrize("arguments", [*_PLAIN, *_AS_JSON], ids=" ".join)
async def test_a_full_disk_is_told_in_a_sentence(
    press: Press, stage: Stage, letters: Pigeonhole, arguments: tuple[str, ...]
) -> None:
    said = await press.run(stage.environment(), *arguments, before=_NO_ROOM)
    said.ends(_UNWRITABLE)
    assert said.output == "the output can't be written: No space left on device\n"
    await letters.holds(3)
