"""What stands around one message in FastStream: its delivery, from the moment of arrival to the end.

It is made in `on_receive`, which awaits nothing: one step later FastStream may already have changed the order.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiormq.abc import DeliveredMessage
from faststream import BaseMiddleware

from worker.messaging.delivery import Delivery

if TYPE_CHECKING:
    from faststream.message import StreamMessage

Arrive = Callable[[DeliveredMessage, str], Delivery]
"""Makes the delivery of a message from this queue; synchronous, and raises only where it has a bug."""

_log = logging.getLogger(__name__)


class Arrival(BaseMiddleware[Any, Any]):
    """Stands around one message in FastStream: the delivery is made at its arrival and is given up in the end."""

    def __init__(self, message: DeliveredMessage, arrive: Arrive, context: Any) -> None:
        super().__init__(message, context=context)
        self._arrive = arrive
        self._delivery: Delivery | None = None

    async def on_receive(self) -> None:
        """The message is decoded and has its turn."""
        self._delivery = self._arrive(self.msg, self.context.get_local("handler_").queue.name)

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: "StreamMessage[Any]") -> Any:
        """The subscriber gets the delivery where others get a decoded body."""
        msg.set_decoder(self._as_delivery)
        return await call_next(msg)

    async def after_processed(self, kind: type[BaseException] | None = None, *_: object) -> bool:
        """A delivery that is finished, or cancelled with its channel, makes way for those behind it."""
        if self._delivery is None:
            return False
        if kind is None or issubclass(kind, asyncio.CancelledError):
            self._delivery.turn.give_up()
            self._delivery.settlement.gone()
        else:  # a bug of the worker itself: the command stays where it is, and nobody overtakes it
            self._delivery.settlement.stuck()
            turn = self._delivery.turn  # all behind it go back with the channel, too
            self.msg.channel.closing.add_done_callback(lambda _: turn.give_up())
            _log.error("a delivery is stuck until its channel is closed: %s", kind.__name__)
        self._delivery.journey.gone()
        return False

    async def _as_delivery(self, _: "StreamMessage[Any]") -> Delivery | None:
        return self._delivery
