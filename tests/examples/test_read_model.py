"""The example of a consumer keeps what events tell, each once, though it is killed and everything is said twice."""

import asyncio
import signal
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import aio_pika

from contracts.envelope import Command
from examples.read_model import ReadModel
from tests.harness.commands import create, delete, update
from tests.harness.ledger import Ledger, announced, everything_heard, send_all
from tests.harness.program import Program, started
from tests.harness.stage import Stage, eventually
from tests.harness.wire import EVENTS, Wire
from tests.harness.workers import tidy_worker

EXAMPLE = str(Path(__file__).parents[2] / "examples" / "read_model.py")
QUEUE = "heroes.events.read_model"
HEROES, UPDATES = 20, 12
KILLED_AFTER = 40


def asked(path: Path, question: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as model:
        return model.execute(question).fetchall()


def told(path: Path) -> int:
    return int(asked(path, "SELECT coalesce(sum(times), 0) FROM told")[0][0])


async def life_of(wire: Wire, hero_id: int) -> list[Command]:
    """Everything that happens to one hero, confirmed one after the other; half of them end, and are missed later."""
    commands: list[Command] = [update(hero_id, {"age": age}) for age in range(UPDATES)]
    if hero_id % 2:
        commands += [delete(hero_id), update(hero_id, {"name": "Too late"})]
    for command in commands:
        await wire.send(command)
    return commands


async def created(wire: Wire) -> list[int]:
    """The ids of new heroes."""
    creates: list[Command] = [create(name=f"Reader {number}") for number in range(HEROES)]
    await send_all(wire, creates)
    await announced(wire, creates)
    return list(Ledger.of(wire).by_hero())


async def killed_in_the_middle(program: Program, path: Path) -> None:
    async def has_begun() -> bool:
        return told(path) >= KILLED_AFTER

    await eventually(has_begun, "the reader has handled some events")
    program.tell(signal.SIGKILL)
    assert await program.ended() == -signal.SIGKILL


async def say_again(wire: Wire, backwards: Sequence[Any]) -> None:
    """Every event once more, the newest first; then something that is no event."""
    for message in backwards:
        await wire.publish(message.body, message.routing_key, exchange=EVENTS)
    await wire.channel.default_exchange.publish(aio_pika.Message(b"no event"), QUEUE)


async def caught_up(path: Path, wire: Wire) -> Ledger:
    """The reader has handled all that was said before: one more event came through."""
    await wire.outcome(create(name="The last"))

    async def has_the_last() -> bool:
        return bool(asked(path, "SELECT 1 FROM hero WHERE name = 'The last'"))

    await eventually(has_the_last, "the reader has read to the end")
    return await everything_heard(wire)


async def is_set_aside(wire: Wire) -> bool:
    return await wire.depth(f"{QUEUE}.dead") == 1


async def assert_kept_once(path: Path, ledger: Ledger, stage: Stage) -> None:
    """Each event id was counted once, and the living heroes are those of the worker."""
    assert dict(asked(path, "SELECT type, times FROM told")) == Counter(event["type"] for event in ledger.first)
    there = await stage.rows("SELECT id, name, age, version FROM hero ORDER BY id")
    kept = asked(path, "SELECT id, name, age, version FROM hero WHERE NOT deleted ORDER BY id")
    assert kept == [tuple(row.values()) for row in there]


async def test_each_event_counts_once_however_often_it_comes_and_the_reader_is_killed(
    stage: Stage, wire: Wire, tmp_path: Path
) -> None:
    path = tmp_path / "read_model.sqlite"
    async with tidy_worker(stage):
        async with started(stage.environment(), EXAMPLE, str(path)) as program:
            await program.said("reading")
            ids = await created(wire)
            living = asyncio.gather(*(life_of(wire, hero_id) for hero_id in ids))
            await killed_in_the_middle(program, path)
            commands = [command for life in await living for command in life]
        await announced(wire, commands)
        assert told(path) < len(Ledger.of(wire).first), "it was killed too late to prove anything"
        await say_again(wire, wire.events[::-1])
        async with started(stage.environment(), EXAMPLE, str(path)) as program:
            ledger = await caught_up(path, wire)
            await eventually(lambda: is_set_aside(wire), "what is no event is in the reader's dead letters")
    await assert_kept_once(path, ledger, stage)
    assert len(asked(path, "SELECT id FROM hero WHERE deleted")) == sum(hero_id % 2 for hero_id in ids)


def event(kind: str, version: int) -> dict[str, Any]:
    hero = {"id": 7, "name": "Ada", "age": version, "version": version}
    return {"id": f"{kind} {version}", "type": f"hero.{kind}", "data": {"hero": hero}}


def test_what_is_stale_is_dropped_and_a_deletion_is_final(tmp_path: Path) -> None:
    path = tmp_path / "read_model.sqlite"
    kept = []
    with closing(ReadModel(str(path))) as model:
        for one in (event("updated", 2), event("created", 1), event("deleted", 2), event("updated", 3)):
            assert model.apply(one)
            kept += asked(path, "SELECT version, deleted FROM hero")
        assert not model.apply(event("created", 1))
    assert kept == [(2, 0), (2, 0), (2, 1), (2, 1)]
