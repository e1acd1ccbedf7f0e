"""Which command queues a worker process consumes first, so that the processes of one `heroes worker` share them out.

Where the broker ignores consumer priorities (RabbitMQ 3.10), a queue belongs to whoever came first: so a process stands
back from the share of the others until they have come. It does so for a few seconds only: no queue waits for a process
that does not come.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from aio_pika.abc import AbstractConnection, UnderlayConnection
from aiormq.abc import AbstractConnection as Underlay
from aiormq.exceptions import ChannelClosed

from contracts.channels import command_queues
from worker.failsafe import Failure, caught

_STAND_BACK_SECONDS = 5.0
_LOOK_SECONDS = 2.0


@dataclass(slots=True)
class Share:
    """Every `parts`th command queue from the `part`th on, which counts from 0; by default all of them."""

    part: int = 0
    parts: int = 1
    _standing_back_since: float | None = field(default=None, init=False)

    def includes(self, queue: str) -> bool:
        """It is consumed at once. So is what many consume at the same time, as queries are."""
        queues = command_queues()
        return queue not in queues or queues.index(queue) % self.parts == self.part

    async def free(self, queues: Sequence[str], connect: Callable[[], Awaitable[AbstractConnection]]) -> list[str]:
        """Those of the others' queues that may be consumed by now: somebody was there first, or has had time to be."""
        looked = await caught(_consumed, connect, queues)
        if not queues or isinstance(looked, Failure):  # while the broker is away, nobody has time to come
            self._standing_back_since = None
            return []
        now = asyncio.get_running_loop().time()
        if self._standing_back_since is None:
            self._standing_back_since = now
        return list(queues) if now - self._standing_back_since > _STAND_BACK_SECONDS else looked


async def _consumed(connect: Callable[[], Awaitable[AbstractConnection]], queues: Sequence[str]) -> list[str]:
    """Those of them that somebody consumes. Raises: Exception, if the broker can't be asked."""
    async with asyncio.timeout(_LOOK_SECONDS):
        connection = await connect()
        await connection.ready()
        underlay = cast("UnderlayConnection", connection.transport).connection  # it is ready
        return [queue for queue in queues if await _is_consumed(underlay, queue)]


async def _is_consumed(connection: Underlay, queue: str) -> bool:
    """Also where it can't be looked at: whoever tries to consume it is told why."""
    # A channel of the connection itself: aio-pika's would come back after a refusal, for nobody.
    channel = await connection.channel(publisher_confirms=False)
    try:
        consumers = (await channel.queue_declare(queue, passive=True)).consumer_count
    except ChannelClosed:
        return True
    await channel.close()
    return bool(consumers)
