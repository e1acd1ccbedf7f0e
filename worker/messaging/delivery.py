"""One arrival of a message, with everything the pipeline needs to know of it."""

from dataclasses import dataclass
from hashlib import sha256

from aio_pika.abc import AbstractIncomingMessage

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

    message: AbstractIncomingMessage
    content: Request | Undecodable
    turn: Turn
    settlement: Settlement
    traits: Traits
    journey: Journey

    @property
    def body_sha256(self) -> str:
        """Names this very body."""
        return sha256(self.message.body).hexdigest()

    @property
    def is_suspect(self) -> bool:
        """It was handed out so often and never acknowledged: it may be what ends the process."""
        count = self.message.headers.get("x-delivery-count", 0) if self.message.redelivered else 0
        return isinstance(count, int) and count >= _SUSPICIOUS_COUNT

    async def ack(self) -> None:
        """The broker may forget the message."""
        self.journey.announced()
        await self.settlement.ack(self.message)
        self.journey.settled()
