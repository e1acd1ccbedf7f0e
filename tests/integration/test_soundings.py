"""Queues are looked at again and again on one connection; one that is missing, or a cut, spoils only that look."""

import aio_pika
import pytest

from contracts.channels import DEAD_LETTERS, command_queues
from tests.harness.cable import Cable
from tests.harness.stage import Stage
from worker.failsafe import Failure, caught
from worker.messaging.depths import MISSING, Depth
from worker.messaging.soundings import Soundings


async def test_a_queue_that_is_missing_gets_a_word_and_spoils_no_other(stage: Stage) -> None:
    first, last = command_queues()[0], command_queues()[-1]
    async with await aio_pika.connect(stage.rabbitmq_url) as connection:
        channel = await connection.channel()
        for queue, messages in ((first, 1), (last, 2)):
            for _ in range(messages):
                await channel.default_exchange.publish(aio_pika.Message(b"{}"), queue)
        soundings = Soundings(stage.rabbitmq_url)
        for _ in range(2):
            found = await soundings.take((first, "nowhere", last, DEAD_LETTERS))
            assert found == [
                Depth(first, 1, 0),
                Depth("nowhere", word=MISSING),
                Depth(last, 2, 0),
                Depth(DEAD_LETTERS, 0, 0),
            ]
        await soundings.close()


async def test_a_look_after_a_cut_begins_with_a_new_connection(stage: Stage) -> None:
    async with Cable.to(stage.rabbitmq_url) as cable:
        soundings = Soundings(cable.url)
        assert await soundings.take((DEAD_LETTERS,))
        cable.cut()
        cable.doors.append(False)
        failed = [isinstance(await caught(soundings.take, (DEAD_LETTERS,)), Failure) for _ in range(3)]
        assert any(failed), "the cut, or the door that was shut, was noticed"
        assert not failed[-1]
        with pytest.raises(OSError):  # noqa: PT011 - whichever the system says
            await Soundings("amqp://guest:guest@127.0.0.1:1/").take((DEAD_LETTERS,))
        await soundings.close()
