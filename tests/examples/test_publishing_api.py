"""The example of a publishing service: an order is answered at once or with the hero, and twice the same is once."""

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest_asyncio

from examples.publishing_api import create_app
from tests.harness.stage import Stage
from tests.harness.wire import Wire
from tests.harness.workers import tidy_worker

HERO = {"name": "Ada", "secret_name": "Countess", "age": 36}


@pytest_asyncio.fixture(loop_scope="session")
async def http(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    """The service, where no worker is at work yet."""
    app = create_app(stage.rabbitmq_url, timeout_seconds=1)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://service") as client,
    ):
        yield client


async def test_an_order_is_accepted_before_it_is_done(http: httpx.AsyncClient, stage: Stage, wire: Wire) -> None:
    answer = await http.post("/heroes", json=HERO)
    assert answer.status_code == httpx.codes.ACCEPTED
    async with tidy_worker(stage):
        (event,) = await wire.events_of(answer.json()["command_id"])
    assert event["data"]["hero"]["name"] == "Ada"


async def test_who_waits_gets_the_hero_and_the_same_again_with_the_same_key(
    http: httpx.AsyncClient, stage: Stage
) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    async with tidy_worker(stage):
        first = await http.post("/heroes?wait=true", json=HERO, headers=key)
        again = await http.post("/heroes?wait=true", json=HERO, headers=key)
        other = await http.post("/heroes?wait=true", json={**HERO, "name": "Eve"}, headers=key)
    assert first.status_code == httpx.codes.CREATED
    assert again.json() == first.json()
    assert other.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert other.json()["detail"]["reason"] == "id_reused"


async def test_who_waits_in_vain_is_told_the_key_to_try_again_with(
    http: httpx.AsyncClient, stage: Stage, wire: Wire
) -> None:
    late = await http.post("/heroes?wait=true", json=HERO)
    assert late.status_code == httpx.codes.SERVICE_UNAVAILABLE
    key = {"Idempotency-Key": late.json()["detail"]["command_id"]}
    async with tidy_worker(stage):
        await wire.events_of(key["Idempotency-Key"])
        answer = await http.post("/heroes?wait=true", json=HERO, headers=key)
    assert answer.status_code == httpx.codes.CREATED


async def test_what_is_no_hero_is_refused_at_the_door(http: httpx.AsyncClient) -> None:
    answer = await http.post("/heroes", json={"name": "", "age": "3"})
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
