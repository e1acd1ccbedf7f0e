"""One arrival of a message, with everything the pipeline needs to know of it."""

from dataclasses import dataclass
from hashlib import sha256

from aio_pika import IncomingMessage
from aiormq.abc import DeliveredMessage

from contracts.envelope import Request
from worker.messaging.decode import Undecodable
from worker.messaging.lanes import Turn
from worker.messaging.settlement import Settlement
from worker.outcomes import Traits
from worker.watch import Journey

_SUSPICIOUS_COUNT = 3


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that the broker waits to hear about; `turn` was taken when it arrived."""

    raw: DeliveredMessage
    content: Request | Undecodable
    turn: Turn
    settlement: Settlement
    traits: Traits
    journey: Journey

    @property
    def message(self) -> IncomingMessage:
        """The whole message. Making it takes as long as a statement, so only those ask who need all of it."""
        return IncomingMessage(self.raw)

    @property
    def reply_to(self) -> str | None:
        """Where the answer should go, if one is wanted."""
        return self.raw.header.properties.reply_to

    @property
    def correlation_id(self) -> str | None:
        """By which the asker knows its answer."""
        return self.raw.header.properties.correlation_id

    @property
    def body_sha256(self) -> str:
        """Names this very body."""
        return sha256(self.raw.body).hexdigest()

    @property
    def is_suspect(self) -> bool:
        """It was handed out so often and never acknowledged: it may be what ends the process."""
        headers = self.raw.header.properties.headers if self.raw.redelivered else None
        count = headers.get("x-delivery-count", 0) if headers else 0
        return isinstance(count, int) and count >= _SUSPICIOUS_COUNT

    async def ack(self) -> None:
        """The broker may forget the message, and hears so within a moment."""
        self.journey.announced()
        await self.settlement.ack(self.raw)
        self.journey.settled()
