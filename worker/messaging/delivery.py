"""One arrival of a message, with everything the pipeline needs to know of it."""

from dataclasses import dataclass
from hashlib import sha256

from aio_pika.abc import AbstractIncomingMessage

from contracts.envelope import Command
from worker.messaging.decode import Undecodable
from worker.messaging.lanes import Turn
from worker.messaging.settlement import Settlement


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that the broker waits to hear about; `turn` was taken when it arrived."""

    message: AbstractIncomingMessage
    content: Command | Undecodable
    turn: Turn
    settlement: Settlement

    @property
    def body_sha256(self) -> str:
        """Names this very body."""
        return sha256(self.message.body).hexdigest()

    async def ack(self) -> None:
        """The broker may forget the message."""
        await self.settlement.ack(self.message)
