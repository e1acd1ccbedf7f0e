"""What must go on looks at a failure and goes on; a real cancellation ends it and leaves nothing behind."""

import asyncio
import gc
import warnings

import pytest

from worker.errors import PublishNotConfirmedError
from worker.failsafe import Failure, attempted, caught, relayed


async def test_a_result_is_handed_on_and_a_failure_is_held() -> None:
    async def divide(dividend: int, *, by: int) -> float:
        return dividend / by

    assert await caught(divide, 6, by=3) == 2
    failure = await caught(divide, 6, by=0)
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, ZeroDivisionError)


@pytest.mark.parametrize("kind", [SystemExit, BaseException])
async def test_what_would_end_the_process_or_a_subscriber_is_a_failure_like_any_other(
    kind: type[BaseException],
) -> None:
    async def leave() -> None:
        raise kind

    failure = await caught(leave)
    assert isinstance(failure, Failure)
    assert type(failure.error) is kind


@pytest.mark.parametrize("kind", [KeyboardInterrupt, GeneratorExit])
async def test_an_interruption_passes_through(kind: type[BaseException]) -> None:
    async def interrupted() -> None:
        raise kind

    with pytest.raises(kind):
        await caught(interrupted)


@pytest.mark.parametrize("kind", [ZeroDivisionError, SystemExit, BaseException])
def test_work_that_awaits_nothing_is_attempted_in_the_same_way(kind: type[BaseException]) -> None:
    def fail() -> None:
        raise kind

    assert attempted(lambda by: 6 / by, 3) == 2
    failure = attempted(fail)
    assert isinstance(failure, Failure)
    assert type(failure.error) is kind


async def test_a_future_that_was_cancelled_under_the_work_is_a_failure_and_no_cancellation() -> None:
    async def wait_for_a_confirm() -> None:
        confirm = asyncio.get_running_loop().create_future()
        confirm.cancel()
        await confirm

    failure = await caught(wait_for_a_confirm)
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, PublishNotConfirmedError)


async def test_a_real_cancellation_passes_through() -> None:
    task = asyncio.create_task(caught(asyncio.Event().wait))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_task_cancelled_before_its_first_step_leaves_no_coroutine_behind() -> None:
    """Python warns later, wherever it is by then, of a coroutine that was made and never awaited."""

    async def publish(document: str) -> None:
        raise AssertionError(document)

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        task = asyncio.create_task(caught(publish, "an event"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        gc.collect()
    assert [str(warning.message) for warning in told] == []


async def test_what_is_relayed_goes_one_way_or_the_other() -> None:
    async def divide(by: int) -> float:
        return 6 / by

    assert await relayed(divide(3), lambda result: result, repr) == 2
    assert await relayed(divide(0), str, type) is ZeroDivisionError


async def test_a_relayed_cancellation_ends_the_task_where_it_is_raised_again() -> None:
    seen = list[BaseException]()

    def refuse(error: BaseException) -> None:
        seen.append(error)
        raise error

    task = asyncio.create_task(relayed(asyncio.Event().wait(), lambda _: None, refuse))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert [type(error) for error in seen] == [asyncio.CancelledError]
