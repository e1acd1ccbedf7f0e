"""`make run` as a person ends it: by Ctrl-C in the terminal, or by a signal to the whole group."""

import os
import signal

import pytest

from tests.harness.program import started
from tests.harness.stage import Stage
from worker.local import Services
from worker.local.run import LEAVE_WITH
from worker.supervisor import LEAVE_WITH as SUPERVISORS

IN_A_GROUP = "import os, sys; os.setsid(); os.execv(sys.executable, [sys.executable, '-m', 'worker.local.run'])"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_to_the_whole_group_lets_the_worker_finish(
    stage: Stage, services: Services, number: signal.Signals
) -> None:
    """The worker would take it for the second one, which ends it at once, if it came to both."""
    environment = stage.environment(HEROES_RABBITMQ_MANAGEMENT_URL=services.management_url)
    async with started(environment, "-c", IN_A_GROUP) as program:
        await program.said("takes commands")
        os.killpg(program.process.pid, number)
        assert await program.ended() == 0, program.output
        assert "left: everything in hand is finished" in program.output


def test_the_option_is_the_supervisors() -> None:
    """The two rooms know nothing of each other."""
    assert LEAVE_WITH == SUPERVISORS
