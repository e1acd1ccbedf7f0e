"""Lanes keep the order of arrival for each key, whatever else happens, and forget keys that nobody uses."""

import asyncio

from worker.messaging.lanes import Lanes, Turn

DEADLINE_SECONDS = 5


async def _visit(turn: Turn, name: str, seen: list[str], stay: asyncio.Event | None = None) -> None:
    async with turn:
        seen.append(name)
        if stay is not None:
            await stay.wait()


async def _settle() -> None:
    """Every task has gone as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_key_is_passed_in_the_order_of_taking_turns_and_not_of_asking() -> None:
    lanes, seen = Lanes(), list[str]()
    turns = {name: lanes.take(["hero"]) for name in ("first", "second", "third")}
    await asyncio.gather(*(_visit(turns[name], name, seen) for name in ("third", "second", "first")))
    assert seen == ["first", "second", "third"]
    assert len(lanes) == 0


async def test_other_keys_and_no_keys_wait_for_nobody() -> None:
    lanes, seen, stay = Lanes(), list[str](), asyncio.Event()
    slow = asyncio.create_task(_visit(lanes.take(["a"]), "slow", seen, stay))
    behind = asyncio.create_task(_visit(lanes.take(["a"]), "behind", seen))
    await asyncio.wait_for(_visit(lanes.take(["b"]), "other", seen), DEADLINE_SECONDS)
    await asyncio.wait_for(_visit(lanes.take([]), "none", seen), DEADLINE_SECONDS)
    assert seen == ["slow", "other", "none"]
    stay.set()
    await asyncio.gather(slow, behind)
    assert len(lanes) == 0


async def test_a_turn_over_several_keys_waits_for_all_of_them_and_holds_all_of_them() -> None:
    lanes, seen, stay = Lanes(), list[str](), asyncio.Event()
    a, b = asyncio.Event(), asyncio.Event()
    tasks = [
        asyncio.create_task(_visit(lanes.take(keys), name, seen, until))
        for name, keys, until in (
            ("a", ["a"], a),
            ("b", ["b"], b),
            ("both", ["b", "a", "b"], stay),
            ("after a", ["a"], None),
            ("after b", ["b"], None),
        )
    ]
    await _settle()
    assert seen == ["a", "b"]
    a.set()
    await _settle()
    assert seen == ["a", "b"]
    b.set()
    await _settle()
    assert seen == ["a", "b", "both"]
    stay.set()
    await asyncio.gather(*tasks)
    assert seen[3:] == ["after a", "after b"]
    assert len(lanes) == 0


async def test_two_turns_over_the_same_keys_in_another_order_do_not_wait_for_each_other() -> None:
    lanes, seen = Lanes(), list[str]()
    turns = lanes.take(["a", "b"]), lanes.take(["b", "a"])
    both = asyncio.gather(*(_visit(turn, str(number), seen) for number, turn in enumerate(turns)))
    await asyncio.wait_for(both, DEADLINE_SECONDS)
    assert seen == ["0", "1"]


async def test_whoever_leaves_early_lets_nobody_overtake_and_holds_nobody_up() -> None:
    lanes, seen, stay = Lanes(), list[str](), asyncio.Event()
    first = asyncio.create_task(_visit(lanes.take(["hero"]), "first", seen, stay))
    turn = lanes.take(["hero"])
    impatient = asyncio.create_task(_visit(turn, "impatient", seen))
    last = asyncio.create_task(_visit(lanes.take(["hero"]), "last", seen))
    await _settle()
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    turn.give_up()
    turn.give_up()
    await _settle()
    assert seen == ["first"]
    stay.set()
    await asyncio.wait_for(asyncio.gather(first, last), DEADLINE_SECONDS)
    assert seen == ["first", "last"]
    assert len(lanes) == 0


async def test_who_fails_inside_is_not_done_and_is_overtaken_by_nobody_until_it_gives_up() -> None:
    lanes, seen = Lanes(), list[str]()

    async def fail(turn: Turn) -> None:
        async with turn:
            raise ZeroDivisionError

    failing, after = lanes.take(["hero"]), asyncio.create_task(_visit(lanes.take(["hero"]), "after", seen))
    await asyncio.gather(fail(failing), return_exceptions=True)
    await asyncio.wait_for(_visit(lanes.take(["other"]), "other", seen), DEADLINE_SECONDS)
    await _settle()
    assert seen == ["other"]
    failing.give_up()
    await asyncio.wait_for(after, DEADLINE_SECONDS)
    assert seen == ["other", "after"]
    assert len(lanes) == 0


async def test_who_is_cancelled_inside_makes_way() -> None:
    """With its channel: those behind it go back, too."""
    lanes, seen = Lanes(), list[str]()
    inside = asyncio.create_task(_visit(lanes.take(["hero"]), "inside", seen, asyncio.Event()))
    after = asyncio.create_task(_visit(lanes.take(["hero"]), "after", seen))
    await _settle()
    inside.cancel()
    await asyncio.gather(inside, return_exceptions=True)
    await asyncio.wait_for(after, DEADLINE_SECONDS)
    assert seen == ["inside", "after"]
    assert len(lanes) == 0
