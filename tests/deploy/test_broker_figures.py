"""What alerts and dashboard ask of RabbitMQ is what a real one serves."""

from urllib.parse import urlsplit

import httpx
import pytest

from tests.deploy.figures import RABBITMQ_NODE, RABBITMQ_QUEUES
from tests.harness.stage import Stage, eventually
from tests.harness.users import management_of
from worker.local import Services


async def test_the_broker_serves_every_figure_that_is_asked_of_it(services: Services, stage: Stage) -> None:
    async with management_of(services) as management:
        listeners = (await management.get("/overview")).json()["listeners"]
    ports = [one["port"] for one in listeners if one["protocol"] == "http/prometheus"]
    address = urlsplit(stage.rabbitmq_url)
    families = f"vhost={address.path[1:]}&family=queue_coarse_metrics&family=queue_consumer_count"
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:

        async def served(path: str) -> str:
            return (await client.get(f"http://{address.hostname}:{ports[0]}{path}")).text

        try:
            node = await served("/metrics")
        except (IndexError, httpx.TransportError):
            pytest.skip("the port of RabbitMQ's metrics can't be reached here")
        assert {name for name in RABBITMQ_NODE if f"\n{name} " in node} == RABBITMQ_NODE

        async def all_told() -> bool:
            queues = await served(f"/metrics/detailed?{families}")
            return all(
                f'{name}{{vhost="{address.path[1:]}",queue="heroes.commands.00"}}' in queues for name in RABBITMQ_QUEUES
            )

        await eventually(all_told, "every figure of a queue")
