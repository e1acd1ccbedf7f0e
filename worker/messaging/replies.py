"""Answers the sender of a command where it asked for one, as a favour: best effort, on a channel of its own.

A reply can neither fail nor hold up a command: nobody waits for it, and when too many are under way it is dropped.
"""

import asyncio
import re

from aio_pika.abc import AbstractIncomingMessage

from contracts.channels import REPLY_TO_PATTERN
from worker.failsafe import caught
from worker.messaging.channel import ConfirmedChannel
from worker.messaging.publisher import as_message
from worker.outcomes import Outcome

_REPLY_TO = re.compile(REPLY_TO_PATTERN)
_UNDER_WAY_AT_MOST = 1000
_FINISH_SECONDS = 1.0


class Replies:
    """Sends the first event of an outcome to the queue that the command names."""

    def __init__(self, channel: ConfirmedChannel) -> None:
        self._channel = channel
        self._under_way: set[asyncio.Task[object]] = set()

    def send_soon(self, message: AbstractIncomingMessage, outcome: Outcome) -> None:
        """The reply is on its way, if one was asked for and there is an event to tell."""
        wanted = message.reply_to and _REPLY_TO.fullmatch(message.reply_to)
        if not wanted or not outcome.events or len(self._under_way) >= _UNDER_WAY_AT_MOST:
            return
        task = asyncio.create_task(caught(self._send(message, outcome)))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def finish(self) -> None:
        """Every reply under way is out, or given up after a moment: leaving must not wait for a favour."""
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=_FINISH_SECONDS)
            for task in late:
                task.cancel()

    async def _send(self, message: AbstractIncomingMessage, outcome: Outcome) -> None:
        reply = as_message(outcome.events[0], correlation_id=message.correlation_id)
        await self._channel.publish(reply, exchange="", routing_key=message.reply_to or "")
