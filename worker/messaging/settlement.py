"""Tells the broker that it may forget a delivery, and leaves a queue without disturbing its order.

Every delivery is acknowledged, and only when nothing is owed for it any more: nobody ever rejects or requeues, since a
requeued command would come back behind its successors.
"""

import asyncio
import contextlib
from typing import cast

from aiormq.abc import DeliveredMessage
from aiormq.exceptions import AMQPError, ChannelInvalidStateError

_QUIET_SECONDS = 0.05  # a broker with more to give fills the window faster than that
_BEAT_SECONDS = 0.01
_WINDOW_SHARE = 4


class Settlement:
    """The deliveries of one queue's channel: what is in hand, what is finished and not yet told."""

    def __init__(self, prefetch: int) -> None:
        self._prefetch = prefetch
        self._in_hand = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._arrival = asyncio.Event()
        self._leaving = False
        self._finished: list[DeliveredMessage] = []
        self._enough = max(1, prefetch // _WINDOW_SHARE)
        self._beat: asyncio.TimerHandle | None = None
        self._telling: asyncio.Task[None] | None = None
        self._stuck = False
        self.has_left = False
        self.is_released = False
        """The channel is being closed, and everything in hand goes back with it: for an ack behind the close the broker
        would end the whole connection."""

    @property
    def in_hand(self) -> int:
        """Deliveries that are neither finished nor given up."""
        return self._in_hand

    @property
    def is_full(self) -> bool:
        """The whole window is in hand: the broker sends nothing more before something is finished."""
        return self._in_hand >= self._prefetch

    @property
    def nothing_can_arrive(self) -> bool:
        """The window is full of finished deliveries that the broker has not heard of: none is on its way to us."""
        return not self._in_hand and len(self._finished) >= self._prefetch

    def arrived(self) -> None:
        """One more delivery is in hand."""
        self._in_hand += 1
        self._idle.clear()
        self._arrival.set()

    def stuck(self) -> None:
        """A delivery was neither finished nor cancelled: no ack may cover it, and leaving does not wait for it."""
        self._stuck = True
        self.gone()

    def gone(self) -> None:
        """A delivery left, finished or cancelled with its channel."""
        self._in_hand -= 1
        if not self._in_hand:
            self._idle.set()

    async def ack(self, message: DeliveredMessage) -> None:
        """The broker hears it within a moment, or, while leaving, at the end: an ack now would only fetch another
        delivery. One whose channel is gone, or going, it never hears of: that one comes again.
        """
        if self.is_released or message.channel.is_closed:
            return
        self._finished.append(message)
        if self._leaving:
            return
        if len(self._finished) >= self._enough:
            await self.tell()
        elif self._beat is None:
            # All queues on the same beat: their acks go out in one write, which costs as much as one of them.
            loop = asyncio.get_running_loop()
            self._beat = loop.call_at((loop.time() // _BEAT_SECONDS + 1) * _BEAT_SECONDS, self._on_beat)

    async def tell(self) -> None:
        """Everything that is finished is on its way to the broker, each by itself."""
        finished, self._finished = self._finished, []
        for message in finished:
            if not self.is_released:
                await _acknowledge(message)

    async def release(self) -> None:
        """What is finished is told; the rest goes back with the channel, and nobody acks behind its close."""
        try:
            await self.tell()
        finally:
            self.is_released = True
            self._finished.clear()

    async def finish(self, timeout_seconds: float) -> bool:
        """No ack goes out any more, and everything that came is finished; False: not everything, and time ran out.

        Whatever arrives from now on is not for us: `has_left`.
        """
        self._leaving = True
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._idle.wait()
                while not self.nothing_can_arrive and await self._another_arrives():
                    await self._idle.wait()
        except TimeoutError:
            return not self._in_hand
        finally:
            self.has_left = True
        return True

    async def tell_the_rest(self) -> None:
        """The broker has heard of everything that was finished while leaving; in one frame if nothing is left over."""
        finished, self._finished = self._finished, []
        finished.sort(key=lambda message: message.delivery_tag or 0)
        if finished and not self._in_hand and not self._stuck:
            await _acknowledge(finished[-1], multiple=True)
            return
        for message in finished:
            await _acknowledge(message)

    def _on_beat(self) -> None:
        self._beat = None
        if not self._leaving:
            self._telling = asyncio.create_task(self.tell())

    async def _another_arrives(self) -> bool:
        self._arrival.clear()
        try:
            async with asyncio.timeout(_QUIET_SECONDS):
                await self._arrival.wait()
        except TimeoutError:
            return False
        return True


async def _acknowledge(message: DeliveredMessage, *, multiple: bool = False) -> None:
    # The channel that brought it may be gone: then the command comes again, is found in the inbox and acked there.
    with contextlib.suppress(AMQPError, ChannelInvalidStateError, OSError):
        tag = cast("int", message.delivery_tag)  # never 0: with `multiple`, AMQP takes that for every delivery
        await message.channel.basic_ack(tag, multiple=multiple, wait=False)
