"""Batches are applied no faster than the broker takes their events, so what is applied and untold stays little."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from contracts.batch import BatchHeroes, BatchHeroesData, CreateOperation
from tests.harness.commands import SOURCE, create
from tests.harness.ledger import everything_heard, heard_at_least, send_all
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire
from tests.harness.workers import tidy_worker
from worker.app import Worker
from worker.errors import PublishNotConfirmedError
from worker.messaging.channel import ConfirmedChannel
from worker.messaging.together import Outgoing
from worker.persistence.pace import Pace

BATCHES = 40
EVENTS_EACH = 2
AT_WORK = 2
OWED_AT_MOST = 20
APPLIED_AT_MOST = OWED_AT_MOST // EVENTS_EACH + AT_WORK
"""What fills the pace, and what was at work when it became full."""

REFUSED_AT_LEAST = 15


class Broker:
    """Lets the events of batches wait, refuses them, or takes them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.takes = asyncio.Event()
        self.is_refusing = False
        self.refused = 0
        self._publish = ConfirmedChannel.publish_together
        monkeypatch.setattr(ConfirmedChannel, "publish_together", self._asked(self))

    @staticmethod
    def _asked(broker: "Broker") -> Any:
        async def publish(channel: ConfirmedChannel, messages: Sequence[tuple[Outgoing, str]], **where: Any) -> None:
            if broker.is_refusing:
                broker.refused += 1
                raise PublishNotConfirmedError("a test says so")
            await broker.takes.wait()
            await broker._publish(channel, messages, **where)

        return publish


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    """Takes nothing at first. The worker's pace is a small one."""
    monkeypatch.setattr("worker.assembly.Pace", partial(Pace, OWED_AT_MOST))
    for name in ("_FIRST_PAUSE_SECONDS", "_LONGEST_PAUSE_SECONDS"):
        monkeypatch.setattr(f"worker.persistence.gate.{name}", 0.05)
    return Broker(monkeypatch)


def _batch(events: int = EVENTS_EACH) -> BatchHeroes:
    operations = [CreateOperation(op="create", name=f"Ada {one}", secret_name="unknown") for one in range(events)]
    return BatchHeroes.new(BatchHeroesData(operations=tuple(operations)), source=SOURCE)


async def _applied(stage: Stage) -> int:
    (found,) = await stage.rows("SELECT count(*) FROM inbox")
    count: int = found["count"]
    return count


async def _all_are_told_once_the_broker_takes_them(wire: Wire, commands: Sequence[BatchHeroes]) -> None:
    await heard_at_least(wire, EVENTS_EACH * len(commands))
    ledger = await everything_heard(wire)
    ledger.assert_one_content_each()
    assert {command_id: len(ids) for command_id, ids in ledger.ids_of.items()} == {
        command.id: EVENTS_EACH for command in commands
    }


async def test_batches_wait_while_those_before_them_are_published(stage: Stage, wire: Wire, broker: Broker) -> None:
    await stage.rows("TRUNCATE inbox")
    commands = [_batch() for _ in range(BATCHES)]
    async with tidy_worker(stage, concurrency=AT_WORK) as worker:
        await send_all(wire, commands)
        await eventually(lambda: _all_wait(worker), "the pace is full, all is in hand, and nobody is at work")
        assert OWED_AT_MOST // EVENTS_EACH <= await _applied(stage) <= APPLIED_AT_MOST
        broker.takes.set()
        await _all_are_told_once_the_broker_takes_them(wire, commands)
        assert (await wire.outcome(create()))["type"] == "hero.created"
        await eventually(lambda: _owes_nothing(worker), "nothing is owed any more")


async def test_behind_a_gate_that_the_broker_keeps_closed_no_batch_after_the_other_is_applied(
    stage: Stage, wire: Wire, broker: Broker
) -> None:
    """Whoever goes ahead to try might be one more that is applied, each time."""
    await stage.rows("TRUNCATE inbox")
    broker.is_refusing = True
    broker.takes.set()
    commands = [_batch() for _ in range(BATCHES)]

    async def is_refused_often() -> bool:
        return broker.refused >= REFUSED_AT_LEAST

    async def is_open() -> bool:
        return worker.gate.closed_because is None

    async with tidy_worker(stage, concurrency=AT_WORK) as worker:
        await send_all(wire, commands)
        await eventually(is_refused_often, "the broker has refused as often as could fill the pace and more")
        assert worker.gate.closed_because is not None
        assert 0 < await _applied(stage) <= APPLIED_AT_MOST
        broker.is_refusing = False
        await _all_are_told_once_the_broker_takes_them(wire, commands)
        await eventually(is_open, "the gate is open")


@pytest.mark.fault
async def test_a_heap_of_large_batches_is_told_without_a_repeat_and_without_an_outage(stage: Stage, wire: Wire) -> None:
    commands = [_batch(1000) for _ in range(60)]
    await send_all(wire, commands)
    async with tidy_worker(stage) as worker:
        await heard_at_least(wire, 60 * 1000, within_seconds=240)
        ledger = await everything_heard(wire)
        assert (await worker.reading()).gate_closed_seconds == 0
    assert len(ledger.contents) == 60 * 1000
    assert len(wire.events) == 60 * 1000 + 1, "one is repeated, besides the one that tells the end"


async def _all_wait(worker: Worker) -> bool:
    now = await worker.reading()
    return now.events_owed >= OWED_AT_MOST and now.in_flight == BATCHES and not now.pool_in_use


async def _owes_nothing(worker: Worker) -> bool:
    return (await worker.reading()).events_owed == 0
