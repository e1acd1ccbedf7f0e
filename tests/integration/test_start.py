"""A worker that starts while the broker comes and goes waits for it; what waiting can't mend is said at once."""

from dataclasses import replace

import pytest
from aiormq.exceptions import AMQPConnectionError

from tests.harness.cable import Cable
from tests.harness.commands import create
from tests.harness.stage import Stage
from tests.harness.wire import Wire
from tests.harness.workers import tidy_worker
from worker.errors import SettingsError, UnreachableError
from worker.messaging.connection import connected, patiently

SHUT, OPEN = False, True


@pytest.mark.parametrize(
    "doors",
    [
        pytest.param([SHUT, SHUT, SHUT], id="at first"),
        pytest.param([OPEN, SHUT, OPEN, SHUT, OPEN], id="again and again"),
    ],
)
async def test_a_door_that_is_shut_while_the_worker_starts_is_knocked_at_again(
    stage: Stage, wire: Wire, doors: list[bool]
) -> None:
    async with Cable.to(stage.rabbitmq_url) as cable:
        cable.doors.extend(doors)
        async with tidy_worker(replace(stage, rabbitmq_url=cable.url)):
            assert (await wire.outcome(create()))["type"] == "hero.created"
            assert cable.doors == []


async def test_a_door_that_stays_shut_is_said_to_be_so_in_time(stage: Stage) -> None:
    async with Cable.to(stage.rabbitmq_url) as cable:
        cable.doors.extend([SHUT] * 100)
        with pytest.raises(UnreachableError, match="did not answer within 2 s"):
            async with connected(cable.url, within_seconds=2):
                pass


@pytest.mark.parametrize("error", [ConnectionResetError, StopAsyncIteration, AMQPConnectionError, RuntimeError])
async def test_whatever_the_client_raises_for_a_broken_handshake_is_tried_again(
    stage: Stage, error: type[Exception]
) -> None:
    """Which it is, depends on how far the handshake came."""
    errors = [error(), error()]

    async def work() -> str:
        if errors:
            raise errors.pop()
        return "done"

    assert await patiently(stage.rabbitmq_url, work, within_seconds=30) == "done"


async def test_a_virtual_host_that_is_not_there_is_said_at_once(stage: Stage) -> None:
    with pytest.raises(SettingsError, match="virtual host"):
        async with connected(stage.rabbitmq_url.rpartition("/")[0] + "/nowhere", within_seconds=60):
            pass
