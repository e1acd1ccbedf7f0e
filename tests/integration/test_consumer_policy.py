"""The policy that deploy/rabbitmq has for consumers: who is slow loses its oldest events, and nobody else loses any."""

from typing import Any
from urllib.parse import urlsplit

import aio_pika
import httpx

from tests.harness.shipped import definitions
from tests.harness.stage import eventually
from tests.harness.user_acts import EVENTS, LOG, NAMED, publish
from worker.local import Services
from worker.messaging import topology


async def test_the_policy_drops_the_oldest_where_a_consumer_is_slow_and_refuses_the_worker_nothing(
    management: httpx.AsyncClient, services: Services
) -> None:
    """The queue's own overflow says refuse: what the worker publishes would be refused for everybody."""
    (policy,) = definitions()["policies"]
    assert policy["definition"]["overflow"] == "drop-head"
    with services.virtual_host("policy") as url:
        host = urlsplit(url).path[1:]
        small = {**policy, "vhost": host, "definition": {**policy["definition"], "max-length-bytes": 1000}}
        (await management.put(f"/policies/{host}/{policy['name']}", json=small)).raise_for_status()
        async with await aio_pika.connect(url) as connection:
            await topology.declare(connection, 7)
            channel = await connection.channel()
            arguments: dict[str, Any] = {"x-queue-type": "quorum", "x-overflow": "reject-publish"}
            queue = await channel.declare_queue(NAMED, durable=True, arguments=arguments)
            await queue.bind(EVENTS, "#")
            for number in range(50):
                await publish(channel, EVENTS, f"{number:0100}".encode())

            async def shortened() -> bool:
                declared = await channel.declare_queue(NAMED, passive=True)
                return 0 < (declared.declaration_result.message_count or 0) <= 10

            await eventually(shortened, "the oldest are dropped")
            first = await queue.get()
            assert int(first.body) >= 40
            log = await management.get(f"/queues/{host}/{LOG}")
            assert log.json().get("policy") is None, "history must not be cut"
