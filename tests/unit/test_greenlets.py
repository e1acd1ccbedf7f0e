"""Greenlets are lent to one work after another, and nothing of one work is there for the next."""

import asyncio
import weakref
from collections.abc import Awaitable
from contextlib import nullcontext, suppress
from contextvars import ContextVar
from typing import Any, Never

import pytest
from greenlet import getcurrent
from sqlalchemy.util import await_

from worker.persistence.greenlets import Greenlets

WHO = ContextVar("WHO", default="nobody")


async def soon(result: Any) -> Any:
    """After a turn of the event loop."""
    await asyncio.sleep(0)
    return result


async def fails() -> Never:
    async def deeper() -> Never:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    await deeper()


def waits_for(awaitable: Awaitable[Any]) -> Any:
    """A greenlet that was at work, and what came."""
    return getcurrent(), await_(awaitable)


async def test_the_work_has_its_arguments_and_its_result_comes_back() -> None:
    def divide(dividend: int, *, by: int) -> float:
        return dividend / by

    assert await Greenlets().run(divide, 6, by=3) == 2


async def test_what_the_work_awaits_is_awaited_as_often_as_it_does() -> None:
    def add() -> int:
        return int(await_(soon(1))) + int(await_(soon(2)))

    assert await Greenlets().run(add) == 3


async def test_one_serves_the_next_work_too() -> None:
    greenlets = Greenlets()
    first, _ = await greenlets.run(waits_for, soon(1))
    second, result = await greenlets.run(waits_for, soon(2))
    assert first is second
    assert result == 2


async def test_works_at_the_same_time_have_one_each() -> None:
    greenlets, begun = Greenlets(), asyncio.Barrier(2)
    (one, _), (other, _) = await asyncio.gather(*(greenlets.run(waits_for, begun.wait()) for _ in range(2)))
    assert one is not other


@pytest.mark.parametrize("awaits", [False, True])
async def test_what_the_work_raises_comes_out_and_its_greenlet_is_not_lent_again(awaits: bool) -> None:
    greenlets, used = Greenlets(), list[Any]()

    def fail() -> None:
        used.append(getcurrent())
        if awaits:
            await_(soon(1))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as raised:
        await greenlets.run(fail)
    assert raised.traceback[-1].name == "fail"
    assert used[0].dead
    current, _ = await greenlets.run(waits_for, soon(1))
    assert current is not used[0]


async def test_what_is_awaited_raises_in_the_work_and_tells_where_it_was_raised() -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        await Greenlets().run(waits_for, fails())
    assert [one.name for one in raised.traceback][-3:] == ["relayed", "fails", "deeper"]
    assert "waits_for" in [one.name for one in raised.traceback]


async def test_after_what_was_awaited_has_raised_the_work_may_go_on() -> None:
    def mend() -> str:
        try:
            await_(fails())
        except ZeroDivisionError:
            return str(await_(soon("mended")))
        return "unharmed"

    greenlets = Greenlets()
    assert await greenlets.run(mend) == "mended"
    assert (await greenlets.run(waits_for, soon(1)))[1] == 1


async def test_a_cancellation_reaches_the_work_which_ends_in_good_order_before_it_comes_out() -> None:
    ended = list[str]()

    def hang() -> None:
        try:
            await_(asyncio.Event().wait())
        finally:
            ended.append(await_(soon("rolled back")))

    greenlets = Greenlets()
    task = asyncio.create_task(greenlets.run(hang))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["rolled back"]
    assert (await greenlets.run(waits_for, soon(1)))[1] == 1


@pytest.mark.parametrize("swallows", [False, True])
async def test_a_call_that_is_closed_amid_another_work_harms_neither(swallows: bool) -> None:
    """As the collector may do; the work that was closed must not be taken for the other's end."""

    def hang() -> None:
        with suppress(GeneratorExit) if swallows else nullcontext():
            await_(asyncio.Event().wait())

    greenlets = Greenlets()
    closed = greenlets.run(hang)
    closed.send(None)  # it waits now

    def commit() -> str:
        closed.close()
        return str(await_(soon("committed")))

    assert await greenlets.run(commit) == "committed"
    assert await greenlets.run(lambda: await_(soon("the next"))) == "the next"


async def test_a_call_that_is_closed_ends_its_work() -> None:
    ended = list[str]()

    def hang() -> None:
        try:
            await_(asyncio.Event().wait())
        finally:
            ended.append("ended")

    greenlets = Greenlets()
    closed = greenlets.run(hang)
    closed.send(None)
    closed.close()
    assert ended == ["ended"]
    assert (await greenlets.run(waits_for, soon(1)))[1] == 1


async def test_each_work_sees_the_context_of_its_own_caller() -> None:
    greenlets = Greenlets()

    def seen() -> tuple[str, str]:
        before = WHO.get()
        await_(soon(1))
        return before, WHO.get()

    async def call(who: str) -> tuple[str, str]:
        WHO.set(who)
        return await greenlets.run(seen)

    for who in ("Ada", "Eve"):
        assert await asyncio.create_task(call(who)) == (who, who)
    assert await asyncio.create_task(greenlets.run(seen)) == ("nobody", "nobody")


async def test_who_waits_for_work_holds_nothing_of_the_last_one() -> None:
    class Thing:
        pass

    def handle(thing: Thing) -> Thing:
        await_(soon(1))
        return thing

    greenlets, thing = Greenlets(), Thing()
    gone = weakref.ref(thing)
    assert await greenlets.run(handle, thing) is thing
    del thing
    assert gone() is None
    current, _ = await greenlets.run(waits_for, soon(1))
    assert current.gr_context is None


async def test_none_waits_after_the_end() -> None:
    greenlets = Greenlets()
    gone = weakref.ref((await greenlets.run(waits_for, soon(1)))[0])
    assert gone() is not None
    greenlets.end()
    assert gone() is None
