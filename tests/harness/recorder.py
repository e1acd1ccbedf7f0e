"""Keeps every event in a queue of the broker's, over restarts of either side; and says which commands are settled."""

from collections.abc import Sequence
from dataclasses import dataclass

import aio_pika

from contracts.envelope import Command
from tests.harness.ledger import Ledger
from tests.harness.stage import Stage, eventually
from tests.harness.wire import COMMANDS, EVENTS

_QUEUE = "tests.recorder"


@dataclass(frozen=True, slots=True)
class Recorder:
    """Each call is a connection of its own: the broker may have been away since the last."""

    stage: Stage

    async def begin(self) -> None:
        """From now on every event is kept."""
        async with await aio_pika.connect(self.stage.rabbitmq_url) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(_QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
            await queue.purge()
            await queue.bind(EVENTS, "#")

    async def send(self, commands: Sequence[Command]) -> None:
        """The broker has confirmed all of them."""
        async with await aio_pika.connect(self.stage.rabbitmq_url) as connection:
            channel = await connection.channel(on_return_raises=True)
            exchange = await channel.get_exchange(COMMANDS, ensure=False)
            for command in commands:
                body = aio_pika.Message(command.to_json(), delivery_mode=2)
                await exchange.publish(body, command.routing_key)

    async def all_published(self, commands: Sequence[Command], *, within_seconds: float = 60) -> None:
        """Every one of them has its outcome, and its events are out."""
        ids = [command.id for command in commands]
        count = "SELECT count(*) FROM inbox WHERE command_id = ANY($1::uuid[]) AND published_at IS NOT NULL"

        async def all_are() -> bool:
            return bool((await self.stage.rows(count, ids))[0]["count"] == len(ids))

        await eventually(all_are, "all commands are applied and announced", within_seconds=within_seconds)

    async def assert_one_event_each(self, commands: Sequence[Command]) -> None:
        """What was kept tells each command's outcome under one id, with one content."""
        ledger = Ledger()
        async with await aio_pika.connect(self.stage.rabbitmq_url) as connection:
            queue = await (await connection.channel()).get_queue(_QUEUE)
            while (message := await queue.get(no_ack=True, fail=False)) is not None:
                ledger.enter(message)
        ledger.assert_one_event_each(commands)
        ledger.assert_one_content_each()
