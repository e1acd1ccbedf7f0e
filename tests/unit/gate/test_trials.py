"""When the probes succeed one of those who wait goes ahead, and the gate opens when that one meets no outage."""

import asyncio
from functools import partial

import pytest

from tests.harness.gates import Service, Visitors, nothing_to_renew, turns
from worker.persistence import gate as module
from worker.persistence.gate import Gate


async def test_when_the_probes_succeed_one_goes_ahead_and_the_others_wait_for_its_verdict(
    gate: Gate, service: Service
) -> None:
    visitors = await Visitors.before(gate, service, 3)
    await visitors.go_ahead(1)
    assert visitors.numbers == [0]
    gate.close("still gone", visitors.trial())
    await visitors.go_ahead(2)
    assert visitors.numbers == [0, 1]
    assert gate.closed_because is not None
    gate.well(visitors.trial())
    await visitors.have_all_passed()
    assert gate.closed_because is None
    assert gate.openings == 1


async def test_a_trial_that_can_not_tell_is_followed_by_the_next_and_opens_nothing(
    gate: Gate, service: Service
) -> None:
    visitors = await Visitors.before(gate, service, 4)
    await visitors.go_ahead(1)
    probed = service.probed
    for count in (2, 3):
        gate.undecided(visitors.trial())
        await visitors.go_ahead(count)
    assert service.probed == probed, "at once, without another round of probes"
    assert gate.closed_because is not None
    gate.close("still gone", visitors.trial())
    assert gate.closed_because is not None
    await visitors.go_ahead(4)
    gate.well(visitors.trial())
    await visitors.have_all_passed()
    assert visitors.numbers == [0, 1, 2, 3]


async def test_who_goes_ahead_knows_that_it_is_the_trial_and_nobody_else_takes_himself_for_it(
    gate: Gate, service: Service
) -> None:
    assert await gate.passed() is None
    visitors = await Visitors.before(gate, service, 3)
    await visitors.go_ahead(1)
    gate.well(visitors.trial())
    await visitors.have_all_passed()
    assert [trial is None for _, trial in visitors.passed] == [False, True, True]


async def test_what_others_met_neither_opens_it_nor_ends_the_trial(gate: Gate, service: Service) -> None:
    """Who passed before it closed may have met another service, or this one while it was still there."""
    before = await gate.passed()
    visitors = await Visitors.before(gate, service, 2)
    await visitors.go_ahead(1)
    probed = service.probed
    for word in (gate.well, gate.undecided, partial(gate.close, "gone, too")):
        word(before)
        await turns()
        assert gate.closed_because is not None
        assert visitors.numbers == [0]
    assert service.probed == probed, "the trial goes on"
    gate.well(visitors.trial())
    await visitors.have_all_passed()


async def test_a_trial_that_takes_longer_than_it_is_waited_for_is_heard_all_the_same(
    gate: Gate, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where every command takes long, the gate would never open otherwise."""
    monkeypatch.setattr(module, "_PROBE_TIMEOUT_SECONDS", 0.05)
    visitors = await Visitors.before(gate, service, 1000)
    await visitors.go_ahead(2)
    assert gate.closed_because == "the one that went ahead has not come back yet"
    gate.well(visitors.trial(0))
    await visitors.have_all_passed()
    assert gate.closed_because is None


async def test_who_is_cancelled_while_it_waits_is_passed_over(gate: Gate, service: Service) -> None:
    visitors = await Visitors.before(gate, service, 2)
    visitors.tasks[0].cancel()
    await visitors.go_ahead(1)
    assert visitors.numbers == [1]
    gate.well(visitors.trial())
    await asyncio.wait_for(visitors.tasks[1], 5)


async def test_who_is_cancelled_just_as_it_is_let_pass_makes_way_for_the_next(gate: Gate, service: Service) -> None:
    """It has its trial already, and will never say what it met."""

    async def cancel_the_first() -> None:
        gate._renew = nothing_to_renew
        asyncio.get_running_loop().call_soon(visitors.tasks[0].cancel)  # after it is let pass, before it knows

    gate._renew = cancel_the_first
    visitors = await Visitors.before(gate, service, 2)
    async with asyncio.timeout(5):  # a trial that says nothing is waited for longer than that
        await visitors.go_ahead(1)
    assert visitors.numbers == [1]
    gate.well(visitors.trial())
    await asyncio.wait_for(visitors.tasks[1], 5)
    assert visitors.tasks[0].cancelled()
