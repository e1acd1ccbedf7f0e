"""Answers a channel that the broker closes, however much waits to be written.

The client drops its answer where the connection's write queue is full, and forgets the channel. The broker goes on
delivering into it, and since one consumer at a time is active nobody else is given that queue's commands any more.
"""

import aiormq
from pamqp import commands

_on_close_frame = aiormq.Channel._on_close_frame  # noqa: SLF001 - the one place where the answer is written


def install() -> None:
    """Every channel of this process answers always from now on. May be called twice."""
    aiormq.Channel._on_close_frame = _always_answered  # type: ignore[assignment,method-assign]  # noqa: SLF001 - as above


async def _always_answered(channel: aiormq.Channel, frame: commands.Channel.Close) -> None:
    """Written at once: a number that is free again may be opened anew, and the answer must come before."""
    queue = channel.write_queue
    limit, queue._maxsize = queue._maxsize, 0  # type: ignore[attr-defined]  # noqa: SLF001 - one more frame than it has room for
    try:
        await _on_close_frame(channel, frame)
    finally:
        queue._maxsize = limit  # type: ignore[attr-defined]  # noqa: SLF001 - as before
