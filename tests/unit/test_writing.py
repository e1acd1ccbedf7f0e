"""Frames that wait to be written go out in one write, in their order; none waits for company."""

import asyncio

import aiormq.connection
import pytest
from aiormq.abc import ChannelFrame

from worker.messaging import writing
from worker.messaging.writing import JoinedFrames


def frame(payload: bytes, *, last: bool = False, awaited: "asyncio.Future[None] | None" = None) -> ChannelFrame:
    """As the client puts it in line."""
    return ChannelFrame(payload, should_close=last, drain_future=awaited)


def waiting(*frames: ChannelFrame) -> JoinedFrames:
    """What comes out of a queue with these."""
    queue: asyncio.Queue[ChannelFrame] = asyncio.Queue()
    for one in frames:
        queue.put_nowait(one)
    return JoinedFrames(queue)


async def test_what_stands_in_line_is_one_write_in_its_order() -> None:
    frames = waiting(frame(b"a"), frame(b"b"), frame(b"c"))
    assert await anext(frames) == frame(b"abc")
    assert frames.queue.empty()
    await asyncio.wait_for(frames.queue.join(), 1)


async def test_a_frame_alone_goes_out_as_it_is() -> None:
    alone = frame(b"a")
    assert await anext(waiting(alone)) is alone


async def test_the_next_write_begins_behind_a_frame_that_somebody_waits_for() -> None:
    awaited = asyncio.get_running_loop().create_future()
    frames = waiting(frame(b"a"), frame(b"b", awaited=awaited), frame(b"c"))
    first = await anext(frames)
    assert (first.payload, first.drain_future) == (b"ab", awaited)
    assert await anext(frames) == frame(b"c")


async def test_nothing_is_written_behind_the_frame_that_ends_the_connection() -> None:
    frames = waiting(frame(b"a"), frame(b"b", last=True), frame(b"c"))
    assert await anext(frames) == frame(b"ab", last=True)


async def test_a_write_does_not_grow_without_end() -> None:
    half = bytes(writing._ENOUGH_BYTES // 2)
    frames = waiting(*(frame(half) for _ in range(3)))
    assert len((await anext(frames)).payload) == writing._ENOUGH_BYTES
    assert await anext(frames) == frame(half)


async def test_nothing_comes_out_of_a_connection_that_is_being_closed() -> None:
    frames = waiting(frame(b"a"))
    frames.close_event.set()
    with pytest.raises(StopAsyncIteration):
        await anext(frames)


def test_every_connection_of_a_worker_writes_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiormq.connection, "FrameGenerator", aiormq.connection.FrameGenerator)
    writing.install()
    writing.install()
    assert aiormq.connection.FrameGenerator is JoinedFrames
