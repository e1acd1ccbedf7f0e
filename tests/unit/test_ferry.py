"""Who comes to an empty landing goes at once, who comes meanwhile goes next, together; all are told the truth."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.harness.stage import eventually
from worker.messaging.ferry import Ferry


class River:
    """Where crossings take until they are let go, or fail."""

    def __init__(self) -> None:
        self.crossings: list[list[int]] = []
        self._ends: list[asyncio.Future[None]] = []

    async def carry(self, aboard: Sequence[int]) -> None:
        """One crossing."""
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.crossings.append(list(aboard))
        self._ends.append(end)
        await end

    async def lands(self, crossing: int, error: Exception | None = None) -> None:
        """This crossing has begun, and ends now."""

        async def has_begun() -> bool:
            return len(self._ends) > crossing

        await eventually(has_begun, f"crossing {crossing} begins")
        if error is None:
            self._ends[crossing].set_result(None)
        else:
            self._ends[crossing].set_exception(error)


@pytest.fixture
def river() -> River:
    """A quiet one."""
    return River()


@pytest.fixture
def ferry(river: River) -> Ferry[int]:
    """One with five places."""
    return Ferry(river.carry, crossings=1, places=5)


async def _begun(ferry: Ferry[int], *ones: int) -> list["asyncio.Task[None]"]:
    tasks = [asyncio.create_task(ferry.take(one)) for one in ones]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_who_comes_alone_goes_at_once(river: River, ferry: Ferry[int]) -> None:
    for number in range(3):
        (task,) = await _begun(ferry, number)
        await river.lands(number)
        await task
    assert river.crossings == [[0], [1], [2]]


async def test_who_comes_meanwhile_goes_next_together_and_in_the_order_of_coming(
    river: River, ferry: Ferry[int]
) -> None:
    (first,) = await _begun(ferry, 0)
    others = await _begun(ferry, 1, 2, 3)
    assert river.crossings == [[0]]
    await river.lands(0)
    await first
    await _begun(ferry, 4)
    assert river.crossings == [[0], [1, 2, 3]]
    assert not any(other.done() for other in others)
    await river.lands(1)
    await asyncio.gather(*others)
    await river.lands(2)
    assert river.crossings == [[0], [1, 2, 3], [4]]


async def test_so_many_crossings_as_are_allowed_are_under_way_and_no_more(river: River) -> None:
    ferry = Ferry(river.carry, crossings=2, places=5)
    tasks = await _begun(ferry, 0, 1, 2, 3)
    assert river.crossings == [[0], [1]]
    await river.lands(1)
    await _begun(ferry)
    tasks += await _begun(ferry, 4)
    assert river.crossings == [[0], [1], [2, 3]]
    await river.lands(0)
    for crossing in (2, 3):
        await river.lands(crossing)
    await asyncio.gather(*tasks)
    assert river.crossings == [[0], [1], [2, 3], [4]]


async def test_no_crossing_takes_more_than_there_are_places(river: River, ferry: Ferry[int]) -> None:
    tasks = await _begun(ferry, *range(12))
    for crossing in range(4):
        await river.lands(crossing)
    await asyncio.gather(*tasks)
    assert river.crossings == [[0], [1, 2, 3, 4, 5], [6, 7, 8, 9, 10], [11]]


async def test_a_failure_is_told_to_all_aboard_and_to_nobody_else(river: River, ferry: Ferry[int]) -> None:
    first, second, third = await _begun(ferry, 0, 1, 2)
    await river.lands(0)
    (fourth,) = await _begun(ferry, 3)
    await river.lands(1, OSError("it sank"))
    await river.lands(2)
    await first
    await fourth
    for failed in (second, third):
        with pytest.raises(OSError, match="it sank"):
            await failed


async def test_who_fails_alone_is_no_obstacle_to_the_next(river: River, ferry: Ferry[int]) -> None:
    first, second = await _begun(ferry, 0, 1)
    await river.lands(0, OSError("it sank"))
    await river.lands(1)
    await second
    with pytest.raises(OSError, match="it sank"):
        await first


async def test_who_is_cancelled_while_waiting_is_not_carried(river: River, ferry: Ferry[int]) -> None:
    first, second, third = await _begun(ferry, 0, 1, 2)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    await river.lands(0)
    await river.lands(1)
    await asyncio.gather(first, third)
    assert river.crossings == [[0], [2]]


@pytest.mark.parametrize("cancelled", [0, 1])
async def test_who_is_cancelled_aboard_strands_nobody(river: River, ferry: Ferry[int], cancelled: int) -> None:
    """The first crosses in a task of its own, so its crossing ends with it; later ones go on with the others aboard."""
    tasks = await _begun(ferry, 0, 1, 2)
    if cancelled:
        await river.lands(0)
        await _begun(ferry)
    tasks[cancelled].cancel()
    await asyncio.gather(tasks[cancelled], return_exceptions=True)
    await river.lands(1)
    await tasks[2]
    (last,) = await _begun(ferry, 3)
    await river.lands(2)
    await last
    assert river.crossings == [[0], [1, 2], [3]]


async def test_with_nobody_waiting_any_more_the_landing_is_empty_again(river: River, ferry: Ferry[int]) -> None:
    first, second = await _begun(ferry, 0, 1)
    second.cancel()
    await river.lands(0)
    await first
    (third,) = await _begun(ferry, 2)
    await river.lands(1)
    await third
    assert river.crossings == [[0], [2]]
