"""A look that costs something is not repeated for everybody who asks, and bad news is not kept for long."""

import asyncio

from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from worker.errors import SchemaError
from worker.readiness import Remembered


class Thing:
    """Is looked at; raises what is wrong with it."""

    def __init__(self, *wrong: Exception | None) -> None:
        self.wrong = list(wrong)
        self.looks = 0

    async def look(self) -> None:
        self.looks += 1
        await asyncio.sleep(0)
        if self.wrong and (error := self.wrong.pop(0)):
            raise error


async def test_many_who_ask_at_once_cost_one_look() -> None:
    thing = Thing()
    remembered = Remembered(thing.look, keep_seconds=60, at_most_seconds=1)
    assert await asyncio.gather(*(remembered.problem() for _ in range(50))) == [None] * 50
    assert thing.looks == 1


async def test_our_own_words_are_told_and_those_of_others_are_not() -> None:
    ours = Remembered(Thing(SchemaError("run heroes setup")).look, keep_seconds=60, at_most_seconds=1)
    assert await ours.problem() == "run heroes setup"
    others = Remembered(Thing(ValueError("a password")).look, keep_seconds=60, at_most_seconds=1)
    assert await others.problem() == "ValueError"
    pool = Remembered(Thing(PoolTimeoutError("a password")).look, keep_seconds=60, at_most_seconds=1)
    assert "password" not in str(await pool.problem())


async def test_a_look_that_takes_too_long_is_a_problem() -> None:
    remembered = Remembered(asyncio.Event().wait, keep_seconds=60, at_most_seconds=0.01)
    assert await remembered.problem() is not None


async def test_a_look_that_can_not_even_be_broken_off_holds_up_nobody() -> None:
    """Closing a connection that hangs takes its time, whoever cancels it."""
    over = asyncio.Event()

    async def hangs() -> None:
        try:
            await over.wait()
        except asyncio.CancelledError:
            await over.wait()

    remembered = Remembered(hangs, keep_seconds=60, at_most_seconds=0.01)
    async with asyncio.timeout(5):
        assert await remembered.problem() == await remembered.problem() == "no answer in time"
    over.set()


async def test_bad_news_are_looked_at_again_long_before_good_ones() -> None:
    thing = Thing(SchemaError("old"))
    remembered = Remembered(thing.look, keep_seconds=600, at_most_seconds=1)
    assert await remembered.problem() == "old"
    deadline = asyncio.get_running_loop().time() + 20
    while await remembered.problem() is not None:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)
    assert await remembered.problem() is None
    assert thing.looks == 2
