"""On RabbitMQ 4 the command queues spread over the workers; on 3.10 one worker has them all."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from tests.faults.cluster import Cluster
from worker.local.services import Services

FIRST_WITH_SPREAD = (4,)
FAIR_SHARE = 4  # of 16 slots, for each of three workers
SLOT_PREFIX = "heroes.commands."
START_TIMEOUT_SECONDS = 30.0
LOOK_EVERY_SECONDS = 0.05


@dataclass(slots=True)
class Spread:
    """Who is active on which command queue, seen through the management API."""

    cluster: Cluster
    services: Services
    remarks: list[str] = field(default_factory=list)
    objections: list[str] = field(default_factory=list)

    async def look(self) -> None:
        """Where the broker spreads: each of three workers has its share soon after the start, or it is objected to."""
        version = await asyncio.to_thread(self.cluster.broker.version)
        if version < FIRST_WITH_SPREAD:
            return
        wanted = FAIR_SHARE if len(self.cluster.workers) == 3 else 1
        shares = await self.reached(len(self.cluster.workers), wanted, within_seconds=START_TIMEOUT_SECONDS)
        self.remarks.append(f"slots {' '.join(map(str, sorted(shares.values())))}")
        if len(shares) < len(self.cluster.workers) or min(shares.values()) < wanted:
            self.objections.append(f"the command queues do not spread: {shares}")

    async def reached(self, workers: int, share: int, *, within_seconds: float) -> Mapping[str, int]:
        """How many slots each worker has, once so many workers have at least that share, or when time is over."""
        clock = self.cluster.clock
        deadline = clock.now + within_seconds
        while True:
            shares = await self.shares()
            fair = [name for name, count in shares.items() if count >= share]
            if (len(fair) == workers == len(shares) and sum(shares.values()) == 16) or clock.now > deadline:
                return shares
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def shares(self) -> Mapping[str, int]:
        """How many slots each worker is active on just now."""
        address = httpx.URL(self.services.management_url)
        bare = str(address.copy_with(username=None, password=None)).rstrip("/")
        auth = httpx.BasicAuth(address.username, address.password)
        async with httpx.AsyncClient(trust_env=False, auth=auth, timeout=5) as client:
            answer = await client.get(f"{bare}/api/consumers/{self.cluster.virtual_host}")
        answer.raise_for_status()
        shares: dict[str, int] = {}
        for consumer in answer.json():
            queue, port = consumer["queue"]["name"], consumer["channel_details"].get("peer_port")
            if queue.removeprefix(SLOT_PREFIX).isdigit() and consumer["active"]:
                owner = next((one.name for one in self.cluster.everybody if port in one.amqp.peers), "somebody")
                shares[owner] = shares.get(owner, 0) + 1
        return shares
