"""A handler that blocks the worker's whole event loop is seen from outside, and costs nothing but time."""

import httpx
import pytest

from tests.harness.commands import create
from tests.harness.leaky import BLOCKS, leaky
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire

pytestmark = pytest.mark.fault


async def test_a_probe_sees_a_worker_that_is_stuck_for_ten_seconds(stage: Stage, wire: Wire) -> None:
    command = create(name=f"{BLOCKS} everything")
    async with leaky(stage.environment()) as program, httpx.AsyncClient(trust_env=False, timeout=1) as probe:
        site = (await program.ready()).removesuffix("/readyz")

        async def answers(status: int) -> bool:
            return (await probe.get(f"{site}/livez")).status_code == status

        assert await answers(200)
        await wire.send(command)
        await eventually(lambda: answers(503), "it is seen to be stuck", within_seconds=30)
        await eventually(lambda: answers(200), "it goes on", within_seconds=30)
        await wire.events_of(command.id)
    rows = await stage.rows("SELECT 1 FROM hero WHERE name = $1", command.data.name)
    assert len(rows) == 1
