"""Nothing is applied while too many events are owed; whoever waits for room is told when there is some."""

import asyncio

import pytest

from worker.errors import HeldBackError
from worker.persistence.pace import Pace


def _is_held_back(pace: Pace) -> bool:
    try:
        pace.require_room()
    except HeldBackError:
        return True
    return False


def test_there_is_room_until_as_many_events_are_owed_as_may_be_and_again_when_some_are_out() -> None:
    pace = Pace(owed_at_most=10)
    assert not _is_held_back(pace)
    with pace.owing(9):
        assert not _is_held_back(pace)
        with pace.owing(1):
            assert pace.events_owed == 10
            assert _is_held_back(pace)
        assert not _is_held_back(pace)
    assert pace.events_owed == 0


def test_more_than_may_be_owed_is_owed_all_the_same_once_it_is_applied() -> None:
    pace = Pace(owed_at_most=10)
    with pace.owing(1000), pace.owing(1000):
        assert pace.events_owed == 2000
        assert _is_held_back(pace)
    assert not _is_held_back(pace)


def test_a_publication_that_fails_or_is_cancelled_is_owed_no_longer_by_this_process() -> None:
    pace = Pace(owed_at_most=10)
    with pytest.raises(asyncio.CancelledError), pace.owing(10):
        raise asyncio.CancelledError
    assert pace.events_owed == 0
    assert not _is_held_back(pace)


async def test_everybody_who_is_held_back_hears_that_it_is_over_and_nobody_before() -> None:
    pace = Pace(owed_at_most=10)
    with pace.owing(5):
        with pace.owing(10):
            with pytest.raises(HeldBackError) as held_back:
                pace.require_room()
            waiting = [asyncio.ensure_future(held_back.value.room()) for _ in range(3)]
            done, _ = await asyncio.wait(waiting, timeout=0.05)
            assert not done
        await asyncio.wait_for(asyncio.gather(*waiting), 5)
    await asyncio.wait_for(held_back.value.room(), 5)
