"""Batches are applied no faster than the broker takes their events, so what is applied and untold stays little."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from contracts.batch import BatchHeroes, BatchHeroesData, CreateOperation
from tests.harness.commands import SOURCE, create
from tests.harness.ledger import everything_heard, heard_at_least, send_all
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire
from tests.harness.workers import tidy_worker
from worker.messaging.channel import ConfirmedChannel, Outgoing

BATCHES = 30
AT_WORK = 2
UNDER_WAY = 4
"""So many batches are being published at once, at most."""


def _batch() -> BatchHeroes:
    operations = [CreateOperation(op="create", name=name, secret_name="nobody knows") for name in ("Ada", "Grace")]
    return BatchHeroes.new(BatchHeroesData(operations=tuple(operations)), source=SOURCE)


async def test_batches_wait_while_those_before_them_are_published(
    stage: Stage, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = ConfirmedChannel.publish_together
    taken, under_way = asyncio.Event(), 0

    async def slowly(self: ConfirmedChannel, messages: Sequence[tuple[Outgoing, str]], **where: Any) -> None:
        nonlocal under_way
        under_way += 1
        await taken.wait()
        await publish(self, messages, **where)

    monkeypatch.setattr(ConfirmedChannel, "publish_together", slowly)
    commands = [_batch() for _ in range(BATCHES)]
    async with tidy_worker(stage, concurrency=AT_WORK) as worker:

        async def all_wait() -> bool:
            reading = await worker.reading()
            return under_way == UNDER_WAY and reading.in_flight == BATCHES and not reading.pool_in_use

        await send_all(wire, commands)
        await eventually(all_wait, "the line is full, and nobody is at work")
        (found,) = await stage.rows("SELECT count(*) FROM inbox")
        assert UNDER_WAY <= found["count"] <= UNDER_WAY + AT_WORK
        taken.set()
        await heard_at_least(wire, 2 * BATCHES)
        ledger = await everything_heard(wire)
        ledger.assert_one_content_each()
        assert {len(ledger.ids_of[command.id]) for command in commands} == {2}
        assert (await wire.outcome(create()))["type"] == "hero.created"
