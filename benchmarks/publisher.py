"""`python -m benchmarks.publisher steady RATE SECONDS`: publishes creates and times each until its event.

Invariant: at a steady rate each command goes out at its own moment, whatever became of those before it, so that a slow
worker can't slow down its own measure. `full UNDER_WAY SECONDS` keeps so many under way instead, to find a rate.
"""

import asyncio
import sys
from dataclasses import asdict
from time import perf_counter

import aiormq
import orjson
import uvloop
from aiormq.abc import DeliveredMessage

from benchmarks.calls import Timing
from benchmarks.work import create
from contracts.channels import COMMANDS, EVENTS
from contracts.envelope import CONTENT_TYPE, Command
from worker.settings import Settings, load_settings

_BURST = 500
_WARM_UP_SECONDS = 1.0
_BURST_SECONDS = 60
_LAST_EVENT_SECONDS = 30


class Publisher:
    """Sends, hears, and remembers when."""

    def __init__(self, channel: aiormq.Channel) -> None:
        self._channel = channel
        self.sent: dict[str, float] = {}
        self.heard: dict[str, float] = {}
        self._news = asyncio.Event()
        self.room = asyncio.Semaphore(0)
        """One more for each command that has its event."""

    async def listen(self) -> None:
        """Every event from now on is heard."""
        queue = (await self._channel.queue_declare(exclusive=True)).queue or ""
        await self._channel.queue_bind(queue, EVENTS, routing_key="hero.created")
        await self._channel.basic_consume(queue, self._hear, no_ack=True)

    async def send(self, command: Command) -> None:
        """It is out and confirmed."""
        properties = aiormq.spec.Basic.Properties(content_type=CONTENT_TYPE, delivery_mode=2, message_id=command.id)
        body, key = command.to_json(), command.routing_key
        self.sent[command.id] = perf_counter()
        await self._channel.basic_publish(body, exchange=COMMANDS, routing_key=key, properties=properties, wait=False)

    async def all_heard(self, within_seconds: float) -> None:
        """Every command sent has its event. Raises: TimeoutError."""
        async with asyncio.timeout(within_seconds):
            while self.sent.keys() - self.heard.keys():
                self._news.clear()
                await self._news.wait()

    async def _hear(self, message: DeliveredMessage) -> None:
        now, command_id = perf_counter(), orjson.loads(message.body)["causationid"]
        if command_id not in self.heard:  # a repeat makes no room
            self.heard[command_id] = now
            self.room.release()
            self._news.set()


async def run(settings: Settings, mode: str, much: float, seconds: float) -> Timing:
    """How long each took, without those of the first second, nor of a burst before it: a worker that has been through
    one has all its connections open. Raises: TimeoutError if an event never comes.
    """
    connection = await aiormq.connect(settings.rabbitmq_url)
    try:
        channel = await connection.channel()
        assert isinstance(channel, aiormq.Channel)
        publisher = Publisher(channel)
        await publisher.listen()
        await asyncio.gather(*(publisher.send(create(number)) for number in range(_BURST)))
        await publisher.all_heard(_BURST_SECONDS)
        sending = {"steady": _steadily, "full": _fully}[mode]
        began = await sending(publisher, much, _WARM_UP_SECONDS + seconds)
        await publisher.all_heard(_LAST_EVENT_SECONDS)
    finally:
        await connection.close()
    counted = {one: at for one, at in publisher.sent.items() if at >= began + _WARM_UP_SECONDS}
    took = [publisher.heard[one] - at for one, at in counted.items()]
    last = max(publisher.heard[one] for one in counted)
    return Timing.of(took, len(took) / (last - began - _WARM_UP_SECONDS))


async def _steadily(publisher: Publisher, rate: float, seconds: float) -> float:
    commands = [create(number) for number in range(max(int(rate * seconds), 1))]
    began = perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, command in enumerate(commands):
            await asyncio.sleep(max(began + number / rate - perf_counter(), 0))
            group.create_task(publisher.send(command))
    return began


async def _fully(publisher: Publisher, under_way: float, seconds: float) -> float:
    publisher.room = asyncio.Semaphore(int(under_way))
    began = perf_counter()
    async with asyncio.TaskGroup() as group:
        while perf_counter() < began + seconds:
            await publisher.room.acquire()
            group.create_task(publisher.send(create(len(publisher.sent))))
    return began


if __name__ == "__main__":
    timing = uvloop.run(run(load_settings(), sys.argv[1], *map(float, sys.argv[2:4])))
    sys.stdout.buffer.write(orjson.dumps(asdict(timing)))
