"""Whatever bug a message meets, no ack covers it and nobody overtakes it."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from contracts.channels import command_queues
from contracts.heroes import COMMANDS
from tests.harness.commands import create, update
from tests.harness.settled import Channel
from worker.messaging.arrival import Arrival
from worker.messaging.consumer import rabbit_broker
from worker.messaging.decode import Decoder
from worker.messaging.intake import Intake
from worker.messaging.lanes import Lanes
from worker.messaging.settlement import Settlement
from worker.watch import Journey, Sighting, Watch

QUEUE = command_queues()[0]


class Faulty(Decoder):
    """With a bug that shows at some bodies."""

    def decode(self, body: bytes, content_type: str | None) -> Any:
        if body == b"odd":
            raise SystemExit("what stood in a field")
        return super().decode(body, content_type)


async def _never(_: object) -> None:
    raise AssertionError("it is not handled here")


async def test_a_bug_at_the_arrival_leaves_the_message_where_it_is(caplog: pytest.LogCaptureFixture) -> None:
    intake = Intake(rabbit_broker("amqp://127.0.0.1:1", logging.getLogger("a test")), "one")
    intake.subscribe(QUEUE, Faulty(COMMANDS, 1000), _never, 32)
    settlement, channel = intake.settlements()[QUEUE], Channel()

    with pytest.raises(RuntimeError) as raised:
        intake.arrive(channel.message(1, b"odd"), QUEUE)
    assert raised.value.__cause__ is None, "FastStream would log it, and its text may hold values of fields"
    delivery = intake.arrive(channel.message(2, create().to_json()), QUEUE)
    assert settlement.in_hand == 1
    assert "a message of heroes.commands.00 is stuck until its channel is closed: SystemExit at " in caplog.text
    assert "test_arrival.py" in caplog.text, "the line of code that raised it"
    assert "what stood in a field" not in caplog.text

    assert not await settlement.finish(timeout_seconds=0)
    await delivery.ack()
    settlement.gone()
    await settlement.tell_the_rest()
    assert channel.heard == [(2, False)], "the second alone"


async def test_nobody_overtakes_what_could_not_be_taken_in_after_it_was_read() -> None:
    class Blind(Watch):
        def arrived(self, sighting: Sighting) -> Journey:
            if sighting.body_bytes == len(odd):
                raise ZeroDivisionError
            return Journey()

    intake = Intake(rabbit_broker("amqp://127.0.0.1:1", logging.getLogger("a test")), "one", Blind())
    intake.subscribe(QUEUE, Decoder(COMMANDS, 1000), _never, 32)
    channel = Channel(closing=asyncio.get_running_loop().create_future())
    odd, next_one = update(7, {"name": "an odd one"}).to_json(), update(7, {"age": 1}).to_json()
    with pytest.raises(RuntimeError):
        intake.arrive(channel.message(1, odd), QUEUE)
    behind = intake.arrive(channel.message(2, next_one), QUEUE)
    entering = asyncio.create_task(behind.turn.__aenter__())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not entering.done()
    channel.closing.set_result(None)
    await asyncio.wait_for(entering, 5)


async def test_nobody_overtakes_what_met_a_bug_until_all_of_them_go_back_with_the_channel() -> None:
    closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    message: Any = SimpleNamespace(channel=SimpleNamespace(closing=closing))
    lanes, settlement = Lanes(), Settlement(32)
    settlement.arrived()
    turn = lanes.take(["hero"])
    behind = lanes.take(["hero"])
    delivery: Any = SimpleNamespace(turn=turn, settlement=settlement, journey=Journey())
    arrival = Arrival(message, lambda *_: delivery, None)
    arrival._delivery = delivery

    await arrival.after_processed(ZeroDivisionError)
    entering = asyncio.create_task(behind.__aenter__())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not entering.done()
    closing.set_result(None)
    await asyncio.wait_for(entering, 5)
