"""Writes at once whatever waits to be written, so that nothing that was said can be dropped or overtaken on its way.

The client holds frames in a queue with room for ten, and writes them one by one. Where it is full, the client drops its
answer to a channel that the broker closes, and the broker goes on delivering into it; and an ack that waits for room
can come behind the close of its channel, for which the broker ends the whole connection. The limit holds nothing back:
what is taken from the queue goes to a buffer without one. And each write is a call to the system that wakes the broker.
"""

import aiormq.connection
from aiormq.abc import ChannelFrame

_ENOUGH_BYTES = 65_536


def install() -> None:
    """Every connection that this process opens from now on writes so. May be called twice."""
    aiormq.Connection.FRAME_BUFFER_SIZE = 0  # for the queue: no limit
    aiormq.connection.FrameGenerator = JoinedFrames  # type: ignore[misc]  # the one place where frames come out


class JoinedFrames(aiormq.connection.FrameGenerator):
    """What waits in a connection's queue, as many frames at a time as one write should take, in their order."""

    async def __anext__(self) -> ChannelFrame:
        """The next frames as one; the last of them may be one that somebody waits for, or that ends the connection."""
        last = await super().__anext__()
        if not self._goes_on_behind(last, len(last.payload)):  # nearly always
            return last
        payload = bytearray(last.payload)
        while self._goes_on_behind(last, len(payload)):
            last = self.queue.get_nowait()
            self.queue.task_done()
            payload += last.payload
        return ChannelFrame(bytes(payload), last.should_close, last.drain_future)

    def _goes_on_behind(self, last: ChannelFrame, size: int) -> bool:
        """What the client does once a frame is written must come before anything else is."""
        is_awaited = last.should_close or last.drain_future is not None
        return not (self.queue.empty() or is_awaited or size >= _ENOUGH_BYTES)
