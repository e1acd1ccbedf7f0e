"""Who meets an outage or is held back waits until it is over, and doesn't speak for those who can tell that it is."""

import asyncio

from tests.harness.gates import gate_until, nothing_to_renew, turns
from tests.harness.retried import DEFAULT, Work, give_up
from worker.errors import DatabaseUnavailableError, HeldBackError
from worker.persistence.gate import Gate
from worker.retry import Retry


async def test_unavailability_closes_the_gate_and_nobody_passes_before_the_probes_succeed(pauses: list[float]) -> None:
    well = asyncio.Event()

    async def probe() -> None:
        if not well.is_set():
            raise ConnectionError

    gate = Gate({"it": probe}, nothing_to_renew)
    work = Work([DatabaseUnavailableError("gone")])
    under_way = asyncio.create_task(Retry(gate, DEFAULT).until_done(work, give_up))
    other = Work([])
    await turns()
    assert gate.closed_because == "it: ConnectionError", "what the probe meets is the latest news"
    waiting = asyncio.create_task(Retry(gate, DEFAULT).until_done(other, give_up))
    await turns()
    assert (work.runs, other.runs) == (1, 0)
    well.set()
    assert [await asyncio.wait_for(task, 10) for task in (under_way, waiting)] == ["done", "done"]
    await gate.stop()


async def test_who_is_held_back_waits_until_it_is_over_and_spends_no_attempt(gate: Gate, pauses: list[float]) -> None:
    over = asyncio.Event()
    work = Work([HeldBackError(over.wait)] * (DEFAULT.refused.attempts + DEFAULT.bug.attempts))
    waiting = asyncio.create_task(Retry(gate, DEFAULT).until_done(work, give_up))
    await turns()
    assert work.runs == 1
    assert gate.closed_because is None
    assert gate.successes == 0, "it met no service, so it can't say that one is well"
    over.set()
    assert await asyncio.wait_for(waiting, 5) == "done"
    assert pauses == []


async def test_behind_a_closed_gate_the_held_back_let_those_try_who_can_tell(pauses: list[float]) -> None:
    is_well, over = asyncio.Event(), asyncio.Event()
    gate = gate_until(is_well)
    held_back = [Work([HeldBackError(over.wait)]) for _ in range(5)]
    owing = Work([])
    gate.close("gone")
    retry = Retry(gate, DEFAULT)
    tasks = [asyncio.create_task(retry.until_done(work, give_up)) for work in (*held_back, owing)]
    await asyncio.sleep(0)
    is_well.set()
    assert await asyncio.wait_for(tasks[-1], 5) == "done"
    assert gate.closed_because is None
    assert [work.runs for work in held_back] == [1] * 5
    over.set()
    await asyncio.wait_for(asyncio.gather(*tasks), 5)
    await gate.stop()


async def test_who_is_held_back_and_was_no_trial_does_not_speak_for_the_one_that_is(pauses: list[float]) -> None:
    is_well, trial_may_end, room, over = (asyncio.Event() for _ in range(4))

    async def tries() -> str:
        await trial_may_end.wait()
        return "done"

    async def finds_no_room() -> str:
        await room.wait()
        if not over.is_set():
            raise HeldBackError(over.wait)
        return "done"

    gate = gate_until(is_well)
    retry = Retry(gate, DEFAULT)
    held_back = asyncio.create_task(retry.until_done(finds_no_room, give_up))  # it passed while the gate was open
    await asyncio.sleep(0)
    gate.close("gone")
    trial = asyncio.create_task(retry.until_done(tries, give_up))
    next_one = Work([])
    next_task = asyncio.create_task(retry.until_done(next_one, give_up))
    await asyncio.sleep(0)
    is_well.set()
    await turns()
    room.set()
    await turns()
    assert next_one.runs == 0, "the trial is still under way"
    trial_may_end.set()
    over.set()
    await asyncio.wait_for(asyncio.gather(trial, next_task, held_back), 5)
    assert next_one.runs == 1
    await gate.stop()


async def test_who_is_cancelled_as_the_trial_makes_way_at_once(pauses: list[float]) -> None:
    is_well = asyncio.Event()
    gate = gate_until(is_well)
    retry, never = Retry(gate, DEFAULT), asyncio.Event()
    gate.close("gone")
    trial = asyncio.create_task(retry.until_done(never.wait))
    next_one = Work([])
    next_task = asyncio.create_task(retry.until_done(next_one, give_up))
    await asyncio.sleep(0)
    is_well.set()
    await turns()
    assert next_one.runs == 0
    trial.cancel()
    async with asyncio.timeout(5):  # a trial that says nothing is waited for longer than that
        assert await next_task == "done"
    await asyncio.gather(trial, return_exceptions=True)
    await gate.stop()
