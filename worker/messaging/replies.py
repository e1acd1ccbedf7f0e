"""Answers whoever asked for an answer, as a favour: best effort, on a channel of its own.

A reply can neither fail nor hold up a command: nobody waits for it, and when too many are under way it is dropped.
"""

import asyncio
import re
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from contracts.channels import REPLY_TO_PATTERN
from contracts.envelope import Command
from worker.documents import SOURCE, EventDocument
from worker.failsafe import caught
from worker.messaging.channel import ConfirmedChannel
from worker.messaging.delivery import Delivery
from worker.messaging.publisher import as_message
from worker.outcomes import Fact, Outcome, OutcomeKind, Traits

_REPLY_TO = re.compile(REPLY_TO_PATTERN)
_UNDER_WAY_AT_MOST = 1000
_FINISH_SECONDS = 1.0


class Replies:
    """Sends answers to the queues that messages name."""

    def __init__(self, channel: ConfirmedChannel) -> None:
        self._channel = channel
        self._under_way: set[asyncio.Task[object]] = set()

    @staticmethod
    def wanted_by(delivery: Delivery) -> bool:
        """The message names a queue that is made for replies."""
        return bool(delivery.reply_to and _REPLY_TO.fullmatch(delivery.reply_to))

    def send_soon(self, delivery: Delivery, outcome: Outcome) -> None:
        """What became of a command is on its way, if that was asked for and there is an event to tell."""
        if outcome.events and self.wanted_by(delivery):
            self.post(delivery, _told(delivery.content, outcome))

    def post(self, delivery: Delivery, document: EventDocument) -> None:
        """The answer to this message is on its way."""
        if len(self._under_way) < _UNDER_WAY_AT_MOST:
            task = asyncio.create_task(caught(self._send, delivery, document))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def finish(self) -> None:
        """Every reply under way is out, or given up after a moment: leaving must not wait for a favour."""
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=_FINISH_SECONDS)
            for task in late:
                task.cancel()

    async def _send(self, delivery: Delivery, document: EventDocument) -> None:
        reply = as_message(document, correlation_id=delivery.correlation_id)
        await self._channel.publish(reply, exchange="", routing_key=delivery.reply_to or "")


def answer(traits: Traits, fact: Fact) -> EventDocument:
    """The answer to a query of which so much could be read."""
    return EventDocument.of(_envelope(str(uuid4()), fact.type, traits, dict(fact.data)))


def _told(content: object, outcome: Outcome) -> EventDocument:
    """The first event; or, where the command is of many parts and was applied, one document with all of them."""
    if not isinstance(content, Command) or not content.reply_type or outcome.kind is not OutcomeKind.APPLIED:
        return outcome.events[0]
    traits = Traits(content.id, content.type, None, content.correlationid)
    reply_id = str(uuid5(NAMESPACE_URL, f"{content.id}/{content.reply_type}"))  # a repeat is the same reply
    data = {"events": [event.envelope for event in outcome.events]}
    return EventDocument.of(_envelope(reply_id, content.reply_type, traits, data))


def _envelope(reply_id: str, kind: str, traits: Traits, data: dict[str, Any]) -> dict[str, Any]:
    told = {"correlationid": traits.correlation_id or traits.command_id, "causationid": traits.command_id}
    return {
        "specversion": "1.0",
        "id": reply_id,
        "source": SOURCE,
        "type": kind,
        "datacontenttype": "application/json",
        **{name: value for name, value in told.items() if value is not None},
        "data": data,
    }
