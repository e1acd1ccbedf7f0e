"""A worker is ready only while it really takes commands, and what is read of it at a scrape is how it is."""

import asyncio
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.channels import command_queues
from tests.harness.cable import Cable
from tests.harness.commands import create, update
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire
from tests.harness.workers import tidy_worker
from worker.app import Worker, running_worker
from worker.observability.metrics import Metrics
from worker.observability.observed import Observed
from worker.operations import prepare
from worker.ours import OURS
from worker.outcomes import Handled
from worker.readiness import LEAVING
from worker.retry import Backoff, RetryPolicy


async def test_what_is_missing_of_schema_and_topology_is_named(stage: Stage, wire: Wire) -> None:
    async with tidy_worker(stage) as worker:
        await wire.channel.exchange_delete("heroes.queries")
        await stage.rows("UPDATE alembic_version SET version_num = '0001'")
        try:
            problems = await worker.problems()
        finally:
            await stage.rows("UPDATE alembic_version SET version_num = '0002'")
            await prepare.prepare_broker(stage.settings())
    assert "exchange heroes.queries" in str(problems["topology"])
    assert "heroes setup" in str(problems["schema"])
    assert problems["database"] is None


async def test_it_is_never_ready_while_its_consumers_are_gone(stage: Stage, wire: Wire) -> None:
    """Its connections are cut, then cut with the door shut for a while; whenever it says ready, it consumes."""
    seen = Observed.of(Metrics(OURS.handlers))
    async with Cable.to(stage.rabbitmq_url) as cable:
        beyond = replace(stage, rabbitmq_url=cable.url).settings(shutdown_timeout_seconds=5)
        async with running_worker(beyond, looking_on=seen) as worker:
            for doors in ([], [False] * 4):
                cable.doors.extend(doors)
                cable.cut()
                await eventually(lambda: _not_ready(worker), "not ready")
                await eventually(lambda: _ready_and_consuming(worker, wire), "ready again")
    for connection in ("consuming", "publishing"):
        count = seen.metrics.registry.get_sample_value("worker_reconnects_total", {"connection": connection})
        assert count is not None
        assert count >= 2, connection


async def _not_ready(worker: Worker) -> bool:
    return any((await worker.problems()).values())


async def _ready_and_consuming(worker: Worker, wire: Wire) -> bool:
    if await _not_ready(worker):
        return False
    for name in command_queues():
        queue = await wire.channel.declare_queue(name, passive=True)
        assert queue.declaration_result.consumer_count, f"ready without a consumer on {name}"
    return True


class Held:
    """A handler for updates that waits until it is let go, and creates that fail as their names say."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.at_it = 0
        self.failed = 0
        handlers = {**OURS.handlers, "hero.update": self._update, "hero.create": self._create}
        hasty = RetryPolicy(bug=Backoff(3, 0.01), refused=Backoff(3, 0.01), away=Backoff(3, 0.01))
        self.entity = replace(OURS, handlers=handlers, retry=hasty)

    async def _update(self, session: AsyncSession, data: Any) -> Handled:
        self.at_it += 1
        await self.let_go.wait()
        return await OURS.handlers["hero.update"](session, data)

    async def _create(self, session: AsyncSession, data: Any) -> Handled:
        if data.name == "Bug":
            self.failed += 1
            raise KeyError(data.name)
        return await OURS.handlers["hero.create"](session, data)

    async def is_at_it(self) -> bool:
        return self.at_it > 0


async def test_what_is_in_hand_and_what_waits_is_shown(stage: Stage, wire: Wire) -> None:
    held = Held()
    metrics = Metrics(OURS.handlers)
    async with tidy_worker(stage, held.entity, prefetch=2, looking_on=Observed.of(metrics)) as worker:
        hero = (await wire.outcome(create()))["data"]["hero"]["id"]
        commands = [update(hero, {"age": age}) for age in range(3)]
        for command in commands:
            await wire.send(command)
        await eventually(held.is_at_it, "one update is at work")
        await eventually(lambda: _waits(worker), "another one waits for it")
        now = await worker.reading()
        assert (now.in_flight, now.lanes_waiting, now.pool_in_use) == (2, 1, 1)
        full = [queue for queue, is_full in now.prefetch_full.items() if is_full]
        assert full == [f"heroes.commands.{commands[0].routing_key}"]
        held.let_go.set()
        for command in commands:
            await wire.events_of(command.id)
        bug = create(name="Bug")
        assert (await wire.outcome(bug))["data"]["reason"] == "handler_failed"
    assert metrics.registry.get_sample_value("worker_retries_total", {"cause": "bug"}) == 2
    assert held.failed == 3


async def _waits(worker: Worker) -> bool:
    return (await worker.reading()).lanes_waiting == 1


async def test_a_worker_that_leaves_is_not_ready_any_more(stage: Stage, wire: Wire) -> None:
    held = Held()
    async with running_worker(stage.settings(), held.entity) as worker:
        hero = (await wire.outcome(create()))["data"]["hero"]["id"]
        command = update(hero, {"age": 1})
        await wire.send(command)
        await eventually(held.is_at_it, "one update is at work")
        assert (await worker.problems())["worker"] is None
        looking = asyncio.create_task(_left(worker, held))
    assert await looking
    await wire.events_of(command.id)


async def _left(worker: Worker, held: Held) -> bool:
    """It says that it leaves, while something is still at work; then that may end."""

    async def says_so() -> bool:
        return worker.readiness.stage == LEAVING

    await eventually(says_so, "it leaves")
    left = (await worker.problems())["worker"] == LEAVING
    held.let_go.set()
    return left


async def test_what_the_inbox_owes_is_told_at_the_sweepers_rounds(stage: Stage, wire: Wire) -> None:
    metrics = Metrics(OURS.handlers)
    started = metrics.registry.get_sample_value("worker_sweeper_last_success_timestamp_seconds") or 0.0

    def value(name: str) -> float:
        return metrics.registry.get_sample_value(name) or 0.0

    async def owed() -> bool:
        return value("worker_unpublished_rows") == 1 and value("worker_unpublished_oldest_seconds") > 0

    async def swept() -> bool:
        return value("worker_swept_total") == 1 and value("worker_unpublished_rows") == 0

    async def tidied() -> bool:
        return value("worker_sweeper_last_success_timestamp_seconds") > started

    async with tidy_worker(stage, sweep_after_seconds=1, looking_on=Observed.of(metrics)):
        command = create()
        await wire.outcome(command)
        await eventually(lambda: stage.is_published(command.id), "the row is marked")
        await stage.rows("UPDATE inbox SET published_at = NULL, handled_at = now() WHERE command_id = $1", command.id)
        await eventually(owed, "the row is counted with its age")
        await eventually(swept, "it was swept")
        await eventually(tidied, "a round went well")
