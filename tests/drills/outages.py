"""The database goes, the broker goes, the broker has no room left: commands wait, and all of them come through."""

import asyncio
import signal

from tests.drills.counting import count
from tests.drills.scene import Scene
from tests.harness.broker_outages import ALARMS

GATE = ("worker_gate_closed", "worker_ready", "worker_retries_total", "worker_unpublished", "worker_in_flight")
OWED = "SELECT command_id, outcome, handled_at FROM inbox WHERE published_at IS NULL ORDER BY handled_at LIMIT 3"
# RabbitMQ 3.10 can lose a queue that was declared only seconds before it goes.
QUEUES_ARE_OLD_AFTER_SECONDS = 12


async def database_down(scene: Scene) -> None:
    """PostgreSQL is stopped; it is started again; nobody touches a worker."""
    scene.screen.says("PostgreSQL stops (systemctl stop postgresql)")
    await asyncio.to_thread(scene.database.stop)
    try:
        await scene.watch.fires("WorkerNotReady", "GateClosed")
        await scene.shell.first_looks()
        await scene.shell.figures(*GATE)
    finally:
        scene.screen.says("PostgreSQL is started again (systemctl start postgresql)")
        await asyncio.to_thread(scene.database.start)
    await scene.watch.all_clear()
    scene.log("gate", 2)
    await scene.shell.first_looks()
    await count(scene)


async def broker_down(scene: Scene) -> None:
    """RabbitMQ is stopped; it is started again; nobody touches a worker."""
    await scene.watch.passed(QUEUES_ARE_OLD_AFTER_SECONDS)
    scene.screen.says("RabbitMQ stops (systemctl stop rabbitmq-server)")
    await asyncio.to_thread(scene.broker.stop)
    try:
        await scene.watch.fires("BrokerDown", "WorkerNotReady")
        await scene.shell.first_looks()
        await scene.shell.figures(*GATE)
    finally:
        scene.screen.says("RabbitMQ is started again (systemctl start rabbitmq-server)")
        await asyncio.to_thread(scene.broker.start)
    await scene.watch.all_clear()
    await scene.shell.first_looks()
    await scene.shell.figures("worker_reconnects_total")
    await count(scene)


async def disk_alarm(scene: Scene) -> None:
    """The broker's disk is full: it takes nothing from anybody who publishes, until there is room again."""
    scene.worker.tell(signal.SIGSTOP)  # so that it has something in hand: who publishes nothing is not blocked
    await scene.traffic.burst(300)
    scene.screen.says("RabbitMQ finds its disk full, and 300 commands wait in the queues")
    async with ALARMS["disk alarm"](scene.broker):
        scene.worker.tell(signal.SIGCONT)
        await scene.watch.fires("BrokerAlarm", "WorkerNotReady", "GateClosed")
        await scene.shell.first_looks()
        await scene.shell.figures(*GATE, "worker_publish_failures_total")
        await scene.shell.psql(OWED)
        await scene.shell.rabbitmqctl("-q", "list_connections", "user", "state")
        await scene.shell.alarms()
        await scene.shell.rabbitmqctl("set_disk_free_limit", "50MB")
    await scene.watch.all_clear()
    await scene.shell.first_looks()
    await count(scene)
