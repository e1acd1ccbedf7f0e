"""A worker that stands still: its loop is blocked, its handlers never come back, or somebody holds a lock."""

import asyncio
import signal

import asyncpg

from tests.drills.counting import count
from tests.drills.misbehaving import BLOCKS, HANGS
from tests.drills.scene import Scene
from tests.harness.commands import create

HANGING = 60
WHO_HOLDS = """SELECT pid, usename, state, now() - xact_start AS since, left(query, 40) AS last_query
  FROM pg_stat_activity WHERE pid IN (SELECT unnest(pg_blocking_pids(pid)) FROM pg_stat_activity)
  AND cardinality(pg_blocking_pids(pid)) = 0"""
STOP = """SELECT pg_terminate_backend(pid)
  FROM pg_stat_activity WHERE state = 'idle in transaction' AND now() - xact_start > interval '30 s'"""
HANDS = ("worker_in_flight", "worker_lanes_waiting", "worker_pool", 'worker_prefetch_full{queue="heroes.commands.00"')
RETRIES = ("worker_retries_total", "worker_dead_letters_total", "worker_permits_slow", "worker_pool_in_use")


async def loop_stuck(scene: Scene) -> None:
    """A handler blocks the whole process: nothing in it goes on, not even leaving. It is killed, another comes."""
    scene.screen.says("a command comes whose handler blocks the event loop")
    await scene.traffic.send([create(name=f"{BLOCKS} everything")])
    await scene.watch.fires("WorkerDown")
    await scene.shell.curl("/livez")
    await scene.shell.first_looks()
    scene.screen.says("$ kill -TERM (nothing happens: the loop can't hear it)")
    scene.worker.tell(signal.SIGTERM)
    await scene.watch.passed(3)
    assert scene.worker.process.returncode is None
    scene.screen.says("$ kill -KILL (what Kubernetes does when /livez fails)")
    scene.worker.tell(signal.SIGKILL)
    await scene.worker.ended()
    await scene.start_worker()
    await scene.watch.all_clear()
    await scene.shell.first_looks()
    await count(scene)


async def handlers_hang(scene: Scene) -> None:
    """Handlers wait for somebody without a time-out until no permit is left: nothing is settled any more."""
    scene.screen.says(f"{HANGING} commands come whose handlers never come back")
    await scene.traffic.send([create(name=f"{HANGS} {number}") for number in range(HANGING)])
    await scene.watch.fires("DeliveryStuck", within_seconds=240)
    await scene.shell.first_looks()
    await scene.shell.figures(*HANDS)
    scene.screen.says("$ kill -TERM (it leaves within 25 s and gives everything back)")
    scene.worker.tell(signal.SIGTERM)
    await scene.worker.ended(within_seconds=40)
    await scene.start_worker()
    await scene.watch.all_clear()
    await count(scene)


async def lock_held(scene: Scene) -> None:
    """Somebody's forgotten transaction holds the table: every statement waits for it and times out."""
    url = scene.stage.database_url.replace("+asyncpg", "")
    forgotten = await asyncpg.connect(url)
    try:
        await forgotten.execute("BEGIN; LOCK TABLE hero IN SHARE MODE")
        scene.screen.says("somebody locks the table and goes home")
        await scene.watch.fires("RetriesHigh", "DeliveryStuck", within_seconds=200)
        await scene.shell.first_looks()
        await scene.shell.figures(*RETRIES)
        scene.log("attempt")
        await scene.shell.psql(WHO_HOLDS)
        await scene.shell.psql(STOP)
    finally:
        forgotten.terminate()
    await _all_replayed(scene)
    await scene.watch.all_clear()
    await count(scene)


async def _all_replayed(scene: Scene) -> None:
    """Where anything was given up meanwhile."""
    async with asyncio.timeout(120):
        while (await scene.waiting())["heroes.dead_letters"]:
            await scene.shell.heroes("dead-letters", "replay", "--reason", "retries_exhausted")
