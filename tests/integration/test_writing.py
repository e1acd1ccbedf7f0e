"""A channel that the broker closes is answered, however much waits to be written: unanswered, it would live on."""

import asyncio

import aio_pika
import aiormq
import pytest
from aiormq.abc import ChannelFrame
from pamqp import commands

from tests.harness.stage import Stage, eventually
from worker.messaging import writing


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    """As in a worker; twice is as once."""
    writing.install()
    writing.install()


@pytest.mark.parametrize("waiting", [0, 1, 10, 500])
async def test_a_channel_that_the_broker_closes_is_answered_behind_what_waits_to_be_written(
    stage: Stage, waiting: int
) -> None:
    async with await aio_pika.connect(stage.rabbitmq_url) as connection:
        channel = await (await connection.channel()).get_underlay_channel()
        assert isinstance(channel, aiormq.Channel)
        writes = channel.write_queue
        await channel.basic_ack(4711)  # a delivery that the broker has never made
        stuffed: asyncio.Queue[ChannelFrame] = asyncio.Queue(writes.maxsize)
        for _ in range(waiting):
            stuffed.put_nowait(ChannelFrame.marshall(channel.number, [commands.Basic.Ack(1)]))
        channel.write_queue = stuffed

        async def is_closed() -> bool:
            return channel.is_closed

        await eventually(is_closed, "the channel is closed")
        frames = [stuffed.get_nowait() for _ in range(stuffed.qsize())]
        assert [frame.payload for frame in frames[waiting:]] == [
            ChannelFrame.marshall(channel.number, [commands.Channel.CloseOk()]).payload
        ]
        await writes.put(frames[-1])


async def test_whatever_is_said_stands_in_line_at_once(stage: Stage) -> None:
    """Who had to wait for room would say it behind what others say meanwhile, the end of its channel among it."""
    async with await aio_pika.connect(stage.rabbitmq_url) as connection:
        channel = await (await connection.channel()).get_underlay_channel()
        assert isinstance(channel, aiormq.Channel)
        for _ in range(500):
            with pytest.raises(StopIteration):  # it was done without a pause
                channel.write_queue.put(_NOTHING).send(None)


_NOTHING = ChannelFrame(b"", should_close=False)
