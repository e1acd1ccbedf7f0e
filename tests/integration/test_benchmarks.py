"""The arena on real services: the hand-written loop does each kind of work, and the referee refuses the rest."""

import os
from collections.abc import AsyncIterator
from math import isnan

import orjson
import pytest
import pytest_asyncio

from benchmarks.arena import Arena, opened
from benchmarks.contestants import HAND_WRITTEN, Contestant, WrongError, started
from benchmarks.field import TEXTBOOK
from benchmarks.peers.model import command as peers_command
from benchmarks.race import turn
from benchmarks.usage import Servers
from benchmarks.work import DELETE, UPDATE, Kind, batch_of
from tests.harness.stage import Stage, eventually

TEXTBOOK_QUEUE = "textbook.once"
COMMANDS = 500  # fewer may be done before the clock runs


@pytest_asyncio.fixture(loop_scope="session")
async def arena(stage: Stage) -> AsyncIterator[Arena]:
    async with opened(stage.settings()) as found:
        yield found


@pytest.mark.parametrize("kind", [UPDATE, DELETE], ids=lambda kind: kind.name)
async def test_the_hand_written_loop_does_the_work_and_the_referee_agrees(arena: Arena, kind: Kind) -> None:
    figure = await turn(arena, HAND_WRITTEN, COMMANDS, kind)
    assert figure.per_second > 0
    assert figure.cpu.worker > 0
    assert figure.repeated == 0


async def test_a_peer_on_the_same_work_leaves_a_hero_a_row_and_an_event_for_each_command(arena: Arena) -> None:
    """The referee counts all three; the peer that needs no library besides ours stands for the others."""
    figure = await turn(arena, TEXTBOOK, COMMANDS)
    assert figure.per_second > 0
    assert await arena.recorded() == COMMANDS


async def test_a_peer_with_an_inbox_gives_a_repeat_no_effect(arena: Arena) -> None:
    command = orjson.dumps(peers_command(1))
    await arena.clear()
    for queue in (TEXTBOOK_QUEUE, TEXTBOOK.events):
        await arena.channel.queue_declare(queue, durable=True)
    with started(TEXTBOOK, arena.settings) as running:
        for body in (command, command, orjson.dumps(peers_command(2))):
            await arena.channel.basic_publish(body, routing_key=TEXTBOOK_QUEUE)

        async def is_done() -> bool:
            waiting = (await arena.channel.queue_declare(TEXTBOOK_QUEUE, durable=True)).message_count
            return await arena.recorded() == 2 and not waiting

        await eventually(is_done, "it has handled them")
        running.leave()
    await arena.verify_peer(2, TEXTBOOK.events, remembers=True)


async def test_the_referee_refuses_a_peer_without_row_or_event(arena: Arena) -> None:
    await arena.clear(seeds=3)
    await arena.channel.queue_declare("nobody.events", durable=True)
    with pytest.raises(WrongError, match=r"not what 3 commands leave: {'inbox': 0, 'events': 0}"):
        await arena.verify_peer(3, "nobody.events", remembers=True)
    await arena.verify_peer(3, "", remembers=False)


async def test_the_referee_refuses_commands_that_nobody_handled(arena: Arena) -> None:
    await arena.clear()
    await arena.fill(3, batch_of(2))
    with pytest.raises(WrongError, match=r"not what 3 commands leave: .*'heroes': 0"):
        await arena.verify(3, batch_of(2))
    await arena.purge()


async def test_a_contestant_that_ends_on_its_own_gets_no_figure_and_its_last_words_are_shown(arena: Arena) -> None:
    quitter = Contestant("quitter", ("-c", "print('tired'); raise SystemExit(3)"))
    with pytest.raises(WrongError, match=r"(?s)quitter: ended with 3.*tired"):
        await turn(arena, quitter, 3)
    await arena.purge()


def test_the_processes_of_the_servers_are_found_where_they_run_on_this_machine(stage: Stage) -> None:
    """In containers they are not, and say so by NaN."""
    cpu = Servers.found(stage.settings()).cpu([os.getpid()])
    assert cpu.worker > 0
    assert all(isnan(seconds) or seconds > 0 for seconds in (cpu.database, cpu.broker))
