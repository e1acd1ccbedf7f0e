"""One run: a cluster, a workload and a nemesis on it, and the judgement of what came of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.checker import objections
from tests.faults.cluster import Cluster
from tests.faults.history import History
from tests.faults.listener import Listener
from tests.faults.nemesis import Nemesis, Recovery, plan, planned_seconds
from tests.faults.publisher import Publisher
from tests.faults.script import script
from tests.faults.services import Servers
from tests.faults.spread import Spread
from tests.faults.step import Step
from tests.faults.workload import Workload

END_TIMEOUT_SECONDS, QUICK_END_TIMEOUT_SECONDS = 120.0, 60.0
LOOK_EVERY_SECONDS = 0.2
PUBLISHERS = 2
AFTER_THE_LAST_FAULT_SECONDS = 3.0
# Who is on call looks after a queue that stands still, as the runbook says.
OPERATOR_COMES_AFTER_SECONDS = 40.0


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is made of; the seed decides the rest."""

    seed: int
    workers: int
    commands: int
    faults: int
    quick: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it."""

    options: Options
    steps: list[Step]
    struck: list[str]
    recoveries: list[Recovery]
    history: History
    objections: list[str]
    remarks: list[str]
    seconds: float
    folder: Path


async def run(servers: Servers, options: Options, folder: Path) -> Result:
    """The workers took everything, whatever happened to them, or the objections say what they did not do."""
    broker, database, services = servers
    steps = plan(options.seed, options.faults, options.workers, quick=options.quick)
    with services.virtual_host("faults") as rabbitmq_url, services.database("faults") as database_url:
        urls = rabbitmq_url, database_url
        async with Cluster.ready((broker, database), urls, options.workers, folder) as cluster:
            seconds = planned_seconds(steps) + AFTER_THE_LAST_FAULT_SECONDS
            async with _workload(cluster, options, seconds) as workload:
                nemesis, spread = Nemesis(cluster, workload), Spread(cluster, services)
                await _play(nemesis, spread, steps, QUICK_END_TIMEOUT_SECONDS if options.quick else END_TIMEOUT_SECONDS)
                history = await _history(cluster, workload)
            found = [*_unfinished(workload), *objections(history), *spread.objections]
            found += [ending for worker in cluster.everybody for ending in worker.endings]
            remarks = [*spread.remarks, *_remarks(nemesis)]
            return Result(
                options, steps, nemesis.struck, nemesis.recoveries, history, found, remarks, cluster.clock.now, folder
            )


@asynccontextmanager
async def _workload(cluster: Cluster, options: Options, seconds: float) -> AsyncIterator[Workload]:
    async with AsyncExitStack() as stack:
        listener = await stack.enter_async_context(Listener.to(cluster.rabbitmq_url, cluster.clock))
        publishers = [await stack.enter_async_context(Publisher.to(cluster.rabbitmq_url)) for _ in range(PUBLISHERS)]
        lines = script(options.seed, options.commands, seconds)
        yield Workload(lines, publishers, listener, cluster.clock)


async def _play(nemesis: Nemesis, spread: Spread, steps: list[Step], timeout_seconds: float) -> None:
    """The plan is carried out, and after it everything is confirmed and announced, or the time for it is over."""
    cluster, workload = nemesis.cluster, nemesis.workload
    await asyncio.gather(*(worker.start() for worker in cluster.workers))
    await spread.look()
    playing = asyncio.create_task(workload.play())
    try:
        await nemesis.strike(steps)
        deadline = cluster.clock.now + timeout_seconds
        operator_comes_at = cluster.clock.now + OPERATOR_COMES_AFTER_SECONDS
        while not (playing.done() and not workload.unanswered() and await cluster.owes_nothing(_confirmed(workload))):
            if cluster.clock.now > deadline:
                break
            if cluster.clock.now > operator_comes_at:
                operator_comes_at = deadline
                nemesis.ghosts_freed = await asyncio.to_thread(cluster.broker.free_ghosts)
            await asyncio.sleep(LOOK_EVERY_SECONDS)
        if playing.done():
            playing.result()
    finally:
        playing.cancel()
        await nemesis.stop()


def _unfinished(workload: Workload) -> list[str]:
    wanted, confirmed = len(workload.script.turns), _confirmed(workload)
    return [] if confirmed == wanted else [f"only {confirmed} of {wanted} commands were confirmed in time"]


def _remarks(nemesis: Nemesis) -> list[str]:
    cluster, workload = nemesis.cluster, nemesis.workload
    copies = sum(one.copies - 1 for commands in workload.history().values() for one in commands)
    repeats = len(workload.listener.heard) - len(workload.listener.causes)
    false_starts = sum(worker.false_starts for worker in cluster.everybody)
    tracebacks = sum(worker.count("Traceback") for worker in cluster.everybody)
    return [
        f"{copies} copies",
        f"{repeats} repeated events",
        f"{false_starts} false starts",
        f"{tracebacks} tracebacks in the logs",
        *([f"{nemesis.ghosts_freed} of the broker's dead consumers freed by hand"] if nemesis.ghosts_freed else []),
    ]


def _confirmed(workload: Workload) -> int:
    return sum(one.confirmed for commands in workload.sent.values() for one in commands)


async def _history(cluster: Cluster, workload: Workload) -> History:
    await cluster.leave()
    listener = workload.listener
    heard_all = await listener.everything_heard()
    assert heard_all, "the broker takes and delivers a last event"
    return History(
        workload.history(),
        listener.heard,
        await cluster.inbox(),
        await cluster.heroes(),
        await cluster.letters(),
        left_in_queues=await cluster.left_in_queues(),
    )
