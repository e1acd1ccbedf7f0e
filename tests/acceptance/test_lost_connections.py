"""A connection that is dead without a word, and a channel that the broker closes, are found and replaced."""

from dataclasses import replace

import aio_pika
import pytest

from tests.harness.broker_outages import QUICK_HEARTBEAT, several, turns
from tests.harness.cable import Cable
from tests.harness.recorder import Recorder
from tests.harness.stage import Stage
from tests.harness.workers import tidy_worker

HEARTBEAT, FOUND_WITHIN_SECONDS = "", 35


@pytest.mark.parametrize(
    ("heartbeat", "within_seconds"),
    [
        pytest.param(QUICK_HEARTBEAT, 10, id="heartbeat 1 s"),
        pytest.param(HEARTBEAT, FOUND_WITHIN_SECONDS, id="heartbeat 10 s", marks=pytest.mark.fault),
    ],
)
async def test_a_connection_into_which_everything_vanishes_is_given_up_in_time(
    stage: Stage, recorder: Recorder, heartbeat: str, within_seconds: float
) -> None:
    commands = several("Vanished")
    async with (
        Cable.to(stage.rabbitmq_url) as cable,
        tidy_worker(replace(stage, rabbitmq_url=cable.url + heartbeat)) as worker,
    ):
        await recorder.send(commands[:100])
        cable.swallow()
        await recorder.send(commands[100:])
        await turns(worker, ready=False, within_seconds=within_seconds)
        await turns(worker, ready=True, within_seconds=within_seconds)
        await recorder.all_published(commands)
    await recorder.assert_one_event_each(commands)


@pytest.mark.parametrize("code", [pytest.param(404, marks=pytest.mark.fault), 406])
async def test_a_channel_that_the_broker_closes_is_opened_again(stage: Stage, recorder: Recorder, code: int) -> None:
    """406: an ack that the broker does not know. 404: a passive look at what is not there."""
    commands = several("Closed", 100)
    async with tidy_worker(stage) as worker:
        await recorder.send(commands[:50])
        for line in worker.intake._lines.values():
            channel = line.consumer._channel
            assert channel is not None
            underlay = await channel.get_underlay_channel()
            if code == 406:
                await underlay.basic_ack(4711)
            else:
                with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
                    await underlay.queue_declare("nowhere", passive=True)
        await recorder.send(commands[50:])
        await recorder.all_published(commands)
        await turns(worker, ready=True)
    await recorder.assert_one_event_each(commands)
