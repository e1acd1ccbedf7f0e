"""Deliveries are acknowledged once each, and while leaving only at the very end."""

import asyncio

import pytest

from tests.harness.settled import Channel
from tests.harness.stage import eventually
from worker.messaging.settlement import Settlement


async def test_nothing_is_acknowledged_on_a_channel_that_is_being_closed() -> None:
    channel, settlement = Channel(), Settlement(prefetch=32)
    settlement.arrived()
    await settlement.release()
    await settlement.ack(channel.message(1))
    settlement.gone()
    await settlement.tell()
    assert channel.heard == []


async def test_what_is_finished_is_told_before_its_channel_is_closed() -> None:
    channel, settlement = Channel(), Settlement(prefetch=32)
    await settlement.ack(channel.message(1))
    assert channel.heard == []
    await settlement.release()
    assert channel.heard == [(1, False)]


async def test_at_work_every_delivery_is_acknowledged_by_itself_within_a_moment() -> None:
    channel, settlement = Channel(), Settlement(prefetch=32)
    for tag in (2, 1):
        settlement.arrived()
        await settlement.ack(channel.message(tag))
        settlement.gone()
    assert settlement._in_hand == 0
    await eventually(lambda: _heard(channel, 2), "both are told", within_seconds=1)
    assert channel.heard == [(2, False), (1, False)]


async def test_the_queues_are_told_on_the_same_beat_so_that_one_write_takes_all() -> None:
    channel = Channel()
    settlements = [Settlement(prefetch=32) for _ in range(16)]
    for tag, settlement in enumerate(settlements):
        await settlement.ack(channel.message(tag))
    beats = {settlement._beat.when() for settlement in settlements if settlement._beat}
    assert len(beats) <= 2, "a beat may have passed between the first and the last"


async def test_a_window_never_waits_for_the_beat() -> None:
    """With a quarter of it finished, the broker hears at once: there is room for more."""
    channel, settlement = Channel(), Settlement(prefetch=8)
    await settlement.ack(channel.message(1))
    assert channel.heard == []
    await settlement.ack(channel.message(2))
    assert channel.heard == [(1, False), (2, False)]


@pytest.mark.parametrize("prefetch", [1, 2, 4, 7])
async def test_in_a_small_window_every_ack_goes_out_at_once(prefetch: int) -> None:
    channel, settlement = Channel(), Settlement(prefetch=prefetch)
    await settlement.ack(channel.message(1))
    assert channel.heard == [(1, False)]


async def test_leaving_with_nothing_in_hand_takes_no_time() -> None:
    settlement = Settlement(prefetch=32)
    assert await settlement.finish(timeout_seconds=0.001)
    await settlement.tell_the_rest()


async def test_leaving_waits_for_what_is_in_hand_and_tells_it_in_one_frame() -> None:
    channel, settlement = Channel(), Settlement(prefetch=32)
    for _ in range(3):
        settlement.arrived()
    leaving = asyncio.create_task(settlement.finish(timeout_seconds=5))
    for tag in (3, 1, 2):
        await asyncio.sleep(0)
        assert not leaving.done()
        await settlement.ack(channel.message(tag))
        settlement.gone()
    assert await leaving
    assert channel.heard == [], "an ack while leaving would fetch another delivery"
    await settlement.tell_the_rest()
    assert channel.heard == [(3, True)]
    await settlement.tell_the_rest()
    assert channel.heard == [(3, True)]


async def test_what_is_unfinished_when_time_runs_out_is_not_acknowledged_with_the_rest() -> None:
    channel, settlement = Channel(), Settlement(prefetch=32)
    for _ in range(3):
        settlement.arrived()
    leaving = asyncio.create_task(settlement.finish(timeout_seconds=0.05))
    await asyncio.sleep(0)
    for tag in (3, 1):
        await settlement.ack(channel.message(tag))
        settlement.gone()
    assert not await leaving
    assert settlement._in_hand == 1
    await settlement.tell_the_rest()
    assert channel.heard == [(1, False), (3, False)]


async def test_no_ack_covers_a_delivery_that_is_stuck() -> None:
    """Tag 1 met a bug of the worker itself: it must come back, though nothing else is in hand."""
    channel, settlement = Channel(), Settlement(prefetch=32)
    settlement.arrived()
    settlement.stuck()
    settlement.arrived()
    leaving = asyncio.create_task(settlement.finish(timeout_seconds=5))
    await asyncio.sleep(0)
    await settlement.ack(channel.message(2))
    settlement.gone()
    assert await leaving
    await settlement.tell_the_rest()
    assert channel.heard == [(2, False)]


async def test_what_was_acknowledged_but_is_not_gone_yet_counts_as_in_hand() -> None:
    channel, settlement = Channel(), Settlement(prefetch=32)
    settlement.arrived()
    leaving = asyncio.create_task(settlement.finish(timeout_seconds=5))
    await asyncio.sleep(0)
    await settlement.ack(channel.message(1))
    await asyncio.sleep(0)
    assert not leaving.done()
    settlement.gone()
    assert await leaving


@pytest.mark.parametrize("leaving", [False, True])
async def test_a_channel_that_is_gone_hears_nothing_and_nobody_fails(leaving: bool) -> None:
    channel, settlement = Channel(closed=True), Settlement(prefetch=32)
    settlement.arrived()
    if leaving:
        asyncio.get_running_loop().call_soon(settlement.gone)
        assert await settlement.finish(timeout_seconds=5)
    await settlement.ack(channel.message(1))
    await settlement.tell_the_rest()
    assert channel.heard == []


async def _heard(channel: Channel, count: int) -> bool:
    return len(channel.heard) >= count
