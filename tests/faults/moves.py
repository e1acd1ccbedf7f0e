"""How fast the command queues move when a worker joins or leaves, watched inside the broker itself.

The management API shows it up to five seconds late, and `rabbitmqctl` takes a second for each look.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.cluster import Cluster
from tests.faults.services import Broker, Servers
from tests.faults.spread import FAIR_SHARE, Spread
from tests.faults.workers import WorkerProcess

WATCHED_SECONDS = 12.0
EVERY_MILLISECONDS = 10
SETTLED_WITHIN_SECONDS = 30.0
# A process of the broker's own keeps each change of (number of consumers, who is active where), with its clock.
START = """\
F = fun F(0, Seen) -> lists:reverse(Seen);
F(N, Seen) ->
  All = [C || C <- ets:tab2list(consumer_created), element(2, element(1, element(1, C))) =:= <<"%s">>],
  Active = erlang:phash2(lists:sort([element(1, C) || C <- All, element(5, C) =:= true])),
  Now = erlang:system_time(millisecond),
  timer:sleep(%d),
  case Seen of
    [{_, Count, Active} | _] when Count =:= length(All) -> F(N - 1, Seen);
    _ -> F(N - 1, [{Now, length(All), Active} | Seen])
  end
end,
application:unset_env(rabbit, faults_watch),
spawn(fun() -> application:set_env(rabbit, faults_watch, F(%d, [])) end),
ok.
"""
READ = "application:get_env(rabbit, faults_watch)."


@dataclass(frozen=True, slots=True)
class Move:
    """From the first consumer that came or went until each queue had its new one."""

    what: str
    seconds: float
    shares: dict[str, int]

    @property
    def is_fair(self) -> bool:
        """Each of the three workers that are there at least at some time has its share."""
        return len(self.shares) < 3 or min(self.shares.values()) >= FAIR_SHARE


async def moves(servers: Servers, folder: Path) -> list[Move]:
    """A third worker joins two, and leaves again."""
    broker, database, services = servers
    with services.virtual_host("spread") as rabbitmq_url, services.database("spread") as database_url:
        urls = rabbitmq_url, database_url
        async with Cluster.ready((broker, database), urls, 3, folder) as cluster:
            *staying, third = cluster.workers
            await asyncio.gather(*(worker.start() for worker in staying))
            await Spread(cluster, services).reached(2, FAIR_SHARE, within_seconds=SETTLED_WITHIN_SECONDS)
            joined = await _moved(cluster, "join", third)
            shares = await Spread(cluster, services).reached(3, FAIR_SHARE, within_seconds=SETTLED_WITHIN_SECONDS)
            left = await _moved(cluster, "leave", third)
            rest = await Spread(cluster, services).reached(2, FAIR_SHARE, within_seconds=SETTLED_WITHIN_SECONDS)
            return [Move("join", joined, dict(shares)), Move("leave", left, dict(rest))]


async def _moved(cluster: Cluster, what: str, worker: WorkerProcess) -> float:
    async with _watched(cluster.broker, cluster.virtual_host) as changes:
        await (worker.start() if what == "join" else worker.leave())
    (_, count, active), *later = changes
    began = next((at for at, consumers, _ in later if consumers != count), None)
    assert began is not None, f"nobody came or went while it was watched: {changes}"
    ended = began
    for at, _, now_active in later:
        if now_active != active:
            ended, active = at, now_active
    return (ended - began) / 1000


@asynccontextmanager
async def _watched(broker: Broker, virtual_host: str) -> AsyncIterator[Sequence[tuple[int, int, int]]]:
    """Every change during the block and some seconds after it, filled in at its end."""
    changes: list[tuple[int, int, int]] = []
    looks = int(WATCHED_SECONDS * 1000 / EVERY_MILLISECONDS)
    await asyncio.to_thread(broker.control, "eval", START % (virtual_host, EVERY_MILLISECONDS, looks))
    yield changes
    printed = await asyncio.to_thread(broker.control, "eval", READ)
    while "ok" not in printed:
        printed = await asyncio.to_thread(broker.control, "eval", READ)
    changes += [(int(at), int(count), int(active)) for at, count, active in re.findall(r"{(\d+),(\d+),(\d+)}", printed)]
