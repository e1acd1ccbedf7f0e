"""A channel to the common broker, for the tests of what is published on it."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.harness.publishing import channel_at
from tests.harness.stage import Stage
from worker.messaging.channel import ConfirmedChannel


@pytest_asyncio.fixture(loop_scope="session")
async def channel(stage: Stage) -> AsyncIterator[ConfirmedChannel]:
    async with channel_at(stage.rabbitmq_url) as opened:
        yield opened
