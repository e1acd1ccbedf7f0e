"""Writes together what waits to be written: each write is a call to the system, and wakes the broker.

The client writes frame by frame. Here those that stand in line are joined, in their order; nothing waits for company.
"""

import aiormq.connection
from aiormq.abc import ChannelFrame

_ENOUGH_BYTES = 65_536


def install() -> None:
    """Every connection that this process opens from now on writes so. May be called twice."""
    aiormq.connection.FrameGenerator = JoinedFrames  # type: ignore[misc]  # the one place where frames come out


class JoinedFrames(aiormq.connection.FrameGenerator):
    """What waits in a connection's queue, as many frames at a time as one write should take."""

    async def __anext__(self) -> ChannelFrame:
        """The next frames as one; the last of them may be one that somebody waits for, or that ends the connection."""
        last = await super().__anext__()
        if self.queue.empty() or _stands_alone(last):  # nearly always
            return last
        payload = bytearray(last.payload)
        while not (self.queue.empty() or _stands_alone(last) or len(payload) >= _ENOUGH_BYTES):
            last = self.queue.get_nowait()
            self.queue.task_done()
            payload += last.payload
        return ChannelFrame(bytes(payload), last.should_close, last.drain_future)


def _stands_alone(frame: ChannelFrame) -> bool:
    """What the client does once it is written must come before anything else is."""
    return frame.should_close or frame.drain_future is not None
