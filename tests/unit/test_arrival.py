"""Whatever happens at the arrival of a message, no ack ever covers one that nobody handles."""

import logging
from typing import Any

import pytest

from contracts.channels import command_queues
from contracts.heroes import COMMANDS
from tests.harness.commands import create
from tests.harness.settled import Channel
from worker.messaging.consumer import rabbit_broker
from worker.messaging.decode import Decoder
from worker.messaging.intake import Intake

QUEUE = command_queues()[0]


class Faulty(Decoder):
    """With a bug that shows at some bodies."""

    def decode(self, body: bytes, content_type: str | None) -> Any:
        if body == b"odd":
            raise ZeroDivisionError
        return super().decode(body, content_type)


async def _never(_: object) -> None:
    raise AssertionError("it is not handled here")


async def test_a_bug_at_the_arrival_leaves_the_message_where_it_is(caplog: pytest.LogCaptureFixture) -> None:
    intake = Intake(rabbit_broker("amqp://127.0.0.1:1", logging.getLogger("a test")), "one")
    intake.subscribe(QUEUE, Faulty(COMMANDS, 1000), _never, 32)
    settlement, channel = intake.settlements()[QUEUE], Channel()

    with pytest.raises(ZeroDivisionError):
        intake.arrive(channel.message(1, b"odd"), QUEUE)
    delivery = intake.arrive(channel.message(2, create().to_json()), QUEUE)
    assert settlement.in_hand == 1
    assert "a message of heroes.commands.00 is stuck until this worker restarts: ZeroDivisionError" in caplog.text

    assert not await settlement.finish(timeout_seconds=0)
    await delivery.ack()
    settlement.gone()
    await settlement.tell_the_rest()
    assert channel.heard == [(2, False)], "the second alone"
