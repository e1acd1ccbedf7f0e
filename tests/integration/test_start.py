"""A worker that starts while the broker comes and goes waits for it; what waiting can't mend is said at once."""

from dataclasses import replace

import pytest

from tests.harness.cable import Cable
from tests.harness.commands import create
from tests.harness.stage import Stage
from tests.harness.wire import Wire
from tests.harness.workers import tidy_worker
from worker.errors import SettingsError, UnreachableError
from worker.messaging.connection import connected

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


async def test_a_virtual_host_that_is_not_there_is_said_at_once(stage: Stage) -> None:
    with pytest.raises(SettingsError, match="virtual host"):
        async with connected(stage.rabbitmq_url.rpartition("/")[0] + "/nowhere", within_seconds=60):
            pass
