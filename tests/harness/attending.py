"""Who is active in which command queue, as the broker tells it."""

from typing import Any
from urllib.parse import urlsplit

import httpx

from contracts.channels import command_queues
from tests.harness.stage import Stage
from worker.messaging.connection import connected, server_version


class Attending:
    """Asks the management API about one virtual host; its figures are some seconds late."""

    def __init__(self, stage: Stage, management: httpx.AsyncClient) -> None:
        self._stage = stage
        self._management = management

    async def knows_priorities(self) -> bool:
        """The broker spreads queues by the priorities of their consumers."""
        async with connected(self._stage.rabbitmq_url, within_seconds=5) as connection:
            return server_version(connection) >= (4, 0)

    async def tags(self) -> set[str]:
        """Of all consumers of command queues, those who stand by included; each attached anew has another."""
        return {one["consumer_tag"] for one in await self._told()}

    async def active(self) -> dict[str, set[str]]:
        """For each worker that is active anywhere, the command queues whose deliveries it gets."""
        found = dict[str, set[str]]()
        for one in await self._told():
            if one["active"]:
                found.setdefault(one["consumer_tag"].partition("~")[0], set()).add(one["queue"]["name"])
        return found

    async def _told(self) -> list[dict[str, Any]]:
        host = urlsplit(self._stage.rabbitmq_url).path[1:]
        told = (await self._management.get(f"/consumers/{host}")).json()
        return [one for one in told if one["queue"]["name"] in command_queues()]
