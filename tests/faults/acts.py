"""What each fault does to the cluster: it comes, lasts and is healed again."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from tests.faults.cluster import Cluster
from tests.faults.step import Step

# RabbitMQ 3.10 can lose a quorum queue for good if it is killed seconds after the declaration.
QUEUES_ARE_OLD_AFTER_SECONDS = 12.0
FULL = """CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE 'No space left on device' USING ERRCODE = '53100'; END $$"""


async def worker_kill(cluster: Cluster, step: Step) -> None:
    """SIGKILL, and a new process later."""
    worker = cluster.workers[step.worker]
    await worker.kill()
    await cluster.clock.passed(step.seconds)
    await worker.start()


async def worker_term(cluster: Cluster, step: Step) -> None:
    """SIGTERM: it finishes what it has in hand and leaves; a new process comes later."""
    worker = cluster.workers[step.worker]
    await worker.leave()
    await cluster.clock.passed(step.seconds)
    await worker.start()


async def worker_freeze(cluster: Cluster, step: Step) -> None:
    """SIGSTOP, then SIGCONT: it goes on as if no time had passed."""
    worker = cluster.workers[step.worker]
    worker.freeze()
    await cluster.clock.passed(step.seconds)
    worker.thaw()


async def worker_join(cluster: Cluster, step: Step) -> None:
    """One more worker comes, and leaves again."""
    await cluster.spare.start()
    await cluster.clock.passed(step.seconds)
    await cluster.spare.leave()


async def database_fast(cluster: Cluster, step: Step) -> None:
    """A shutdown that ends every session, and a start."""
    await asyncio.to_thread(cluster.database.stop)
    await _database_comes_back(cluster, step)


async def database_immediate(cluster: Cluster, step: Step) -> None:
    """An end without a shutdown, and a recovery from the log."""
    await asyncio.to_thread(cluster.database.stop_immediately)
    await _database_comes_back(cluster, step)


async def database_kill(cluster: Cluster, step: Step) -> None:
    """SIGKILL of all its processes."""
    await asyncio.to_thread(cluster.database.kill)
    await _database_comes_back(cluster, step)


async def database_freeze(cluster: Cluster, step: Step) -> None:
    """SIGSTOP of all its processes, then SIGCONT."""
    await asyncio.to_thread(cluster.database.freeze)
    try:
        await cluster.clock.passed(step.seconds)
    finally:
        cluster.database.thaw()


async def database_no_table(cluster: Cluster, step: Step) -> None:
    """The server is there, and what the handlers need is not."""
    await cluster.execute("ALTER TABLE hero RENAME TO gone")
    await cluster.clock.passed(step.seconds)
    await cluster.execute("ALTER TABLE gone RENAME TO hero")


async def database_full(cluster: Cluster, step: Step) -> None:
    """The server's own answer to a full disk, given by a trigger: no probe can see it."""
    await cluster.execute(FULL, "CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON hero EXECUTE FUNCTION full_disk()")
    await cluster.clock.passed(step.seconds)
    await cluster.execute("DROP TRIGGER full_disk ON hero", "DROP FUNCTION full_disk")


async def broker_kill(cluster: Cluster, step: Step) -> None:
    """SIGKILL of the node, and a start."""
    await cluster.clock.reached(QUEUES_ARE_OLD_AFTER_SECONDS)
    await asyncio.to_thread(cluster.broker.kill)
    await cluster.clock.passed(step.seconds)
    await asyncio.to_thread(cluster.broker.start)


async def broker_restart(cluster: Cluster, step: Step) -> None:
    """A clean shutdown of the node, and a start."""
    await cluster.clock.reached(QUEUES_ARE_OLD_AFTER_SECONDS)
    await asyncio.to_thread(cluster.broker.stop)
    await cluster.clock.passed(step.seconds)
    await asyncio.to_thread(cluster.broker.start)


async def broker_close_all(cluster: Cluster, _: Step) -> None:
    """The broker closes every connection, ours included."""
    await asyncio.to_thread(cluster.broker.close_all, cluster.virtual_host)


async def broker_alarm(cluster: Cluster, step: Step) -> None:
    """A memory alarm: nothing is taken from publishers."""
    await asyncio.to_thread(cluster.broker.alarm)
    await cluster.clock.passed(step.seconds)
    await asyncio.to_thread(cluster.broker.calm)


async def amqp_cut(cluster: Cluster, step: Step) -> None:
    """Both of a worker's AMQP connections are reset."""
    cluster.workers[step.worker].amqp.cut()


async def amqp_blackhole(cluster: Cluster, step: Step) -> None:
    """No byte between a worker and the broker; above 30 s both sides find out."""
    cable = cluster.workers[step.worker].amqp
    cable.blackhole()
    await cluster.clock.passed(step.seconds)
    cable.heal()


async def sql_cut(cluster: Cluster, step: Step) -> None:
    """All of a worker's database connections are reset."""
    cluster.workers[step.worker].sql.cut()


async def sql_blackhole(cluster: Cluster, step: Step) -> None:
    """No byte between a worker and the database."""
    cable = cluster.workers[step.worker].sql
    cable.blackhole()
    await cluster.clock.passed(step.seconds)
    cable.heal()


async def _database_comes_back(cluster: Cluster, step: Step) -> None:
    await cluster.clock.passed(step.seconds)
    await asyncio.to_thread(cluster.database.start)


ACTS: Mapping[str, Callable[[Cluster, Step], Awaitable[None]]] = {
    act.__name__: act
    for act in (
        worker_kill,
        worker_term,
        worker_freeze,
        worker_join,
        database_fast,
        database_immediate,
        database_kill,
        database_freeze,
        database_no_table,
        database_full,
        broker_kill,
        broker_restart,
        broker_close_all,
        broker_alarm,
        amqp_cut,
        amqp_blackhole,
        sql_cut,
        sql_blackhole,
    )
}
