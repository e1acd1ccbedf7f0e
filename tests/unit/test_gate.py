"""The gate lets nobody pass during an outage, and opens when one that goes ahead meets none."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio

from tests.harness.stage import eventually
from worker.persistence import gate as module
from worker.persistence.gate import Gate
from worker.persistence.trial import Trial


class Service:
    """What the gate probes."""

    def __init__(self) -> None:
        self.is_away = False
        self.probed = 0

    async def probe(self) -> None:
        """Raises while it is away."""
        self.probed += 1
        if self.is_away:
            raise ConnectionError


@pytest.fixture
def service() -> Service:
    return Service()


@pytest_asyncio.fixture(loop_scope="session")
async def gate(service: Service, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gate]:
    """In a hurry."""
    # Not so great a hurry that a test can't speak between two rounds.
    for name in ("_FIRST_PAUSE_SECONDS", "_LONGEST_PAUSE_SECONDS", "_WATCH_SECONDS"):
        monkeypatch.setattr(module, name, 0.01)

    async def renew() -> None:
        pass

    gate = Gate({"service": service.probe}, renew)
    yield gate
    await gate.stop()


Passed = list[tuple[int, Trial | None]]


async def _passes(gate: Gate, passed: Passed, number: int) -> None:
    passed.append((number, await gate.passed()))


def _numbers(passed: Passed) -> list[int]:
    return [number for number, _ in passed]


def _latest(passed: Passed) -> Trial:
    trial = passed[-1][1]
    assert trial is not None
    return trial


async def test_when_the_probes_succeed_one_goes_ahead_and_the_others_wait_for_its_verdict(
    gate: Gate, service: Service
) -> None:
    passed: Passed = []
    service.is_away = True
    gate.close("gone")
    waiting = [asyncio.create_task(_passes(gate, passed, number)) for number in range(3)]
    await asyncio.sleep(0)
    service.is_away = False
    await eventually(lambda: _length_is(passed, 1), "one goes ahead")
    assert _numbers(passed) == [0]
    gate.close("still gone", _latest(passed))
    await eventually(lambda: _length_is(passed, 2), "another one is tried")
    assert _numbers(passed) == [0, 1]
    assert gate.closed_because is not None
    gate.well(_latest(passed))
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
    assert gate.closed_because is None
    assert gate.openings == 1


async def test_a_trial_that_can_not_tell_is_followed_by_the_next_and_opens_nothing(
    gate: Gate, service: Service
) -> None:
    passed: Passed = []
    service.is_away = True
    gate.close("gone")
    waiting = [asyncio.create_task(_passes(gate, passed, number)) for number in range(4)]
    await asyncio.sleep(0)
    service.is_away = False
    await eventually(lambda: _length_is(passed, 1), "one goes ahead")
    probed = service.probed
    for count in (2, 3):
        gate.undecided(_latest(passed))
        await eventually(partial(_length_is, passed, count), "the next one goes ahead")
    assert service.probed == probed, "at once, without another round of probes"
    assert gate.closed_because is not None
    gate.close("still gone", _latest(passed))
    assert gate.closed_because is not None
    await eventually(lambda: _length_is(passed, 4), "another one is tried")
    gate.well(_latest(passed))
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
    await eventually(lambda: _is_open(gate), "the gate is open")
    assert _numbers(passed) == [0, 1, 2, 3]


async def test_who_goes_ahead_knows_that_it_is_the_trial_and_nobody_else_takes_himself_for_it(
    gate: Gate, service: Service
) -> None:
    assert await gate.passed() is None
    service.is_away = True
    gate.close("gone")
    waiting = [asyncio.create_task(gate.passed()) for _ in range(3)]
    await asyncio.sleep(0)
    service.is_away = False
    trial = await asyncio.wait_for(waiting[0], 5)
    assert trial is not None
    gate.well(trial)
    assert await asyncio.wait_for(asyncio.gather(*waiting[1:]), 5) == [None, None]


async def test_what_others_met_neither_opens_it_nor_ends_the_trial(gate: Gate, service: Service) -> None:
    """Who passed before it closed may have met another service, or this one while it was still there."""
    passed: Passed = []
    before = await gate.passed()
    service.is_away = True
    gate.close("gone")
    waiting = [asyncio.create_task(_passes(gate, passed, number)) for number in range(2)]
    await asyncio.sleep(0)
    service.is_away = False
    await eventually(lambda: _length_is(passed, 1), "one goes ahead")
    probed = service.probed
    for word in (gate.well, gate.undecided, partial(gate.close, "gone, too")):
        word(before)
        for _ in range(50):
            await asyncio.sleep(0)
        assert gate.closed_because is not None
        assert _numbers(passed) == [0]
    assert service.probed == probed, "the trial goes on"
    gate.well(_latest(passed))
    await asyncio.wait_for(asyncio.gather(*waiting), 5)


async def test_a_trial_that_takes_longer_than_it_is_waited_for_is_heard_all_the_same(
    gate: Gate, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where every command takes long, the gate would never open otherwise."""
    monkeypatch.setattr(module, "_PROBE_TIMEOUT_SECONDS", 0.05)
    passed: Passed = []
    service.is_away = True
    gate.close("gone")
    waiting = [asyncio.create_task(_passes(gate, passed, number)) for number in range(1000)]
    await asyncio.sleep(0)
    service.is_away = False
    await eventually(lambda: _length_is(passed, 2), "another one goes ahead")
    assert gate.closed_because == "the one that went ahead has not come back yet"
    first = passed[0][1]
    assert first is not None
    gate.well(first)
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
    assert gate.closed_because is None


async def test_a_long_outage_is_a_line_at_its_begin_one_now_and_then_and_one_at_its_end(
    gate: Gate, service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_REMINDER_SECONDS", 0.2)
    service.is_away = True
    gate.close("gone")

    async def reminded() -> bool:
        return caplog.text.count("gate closed for") >= 2

    await eventually(reminded, "two reminders")
    probed = service.probed
    service.is_away = False
    await eventually(lambda: _is_open(gate), "the gate is open")
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0].startswith("gate closed: gone")
    assert lines[-1].startswith("gate open after")
    assert probed > 4 * len(lines), "a line is rare among the probes"


async def test_while_the_probes_fail_nobody_is_tried(gate: Gate, service: Service) -> None:
    passed: Passed = []
    service.is_away = True
    gate.close("gone")
    waiting = asyncio.create_task(_passes(gate, passed, 0))

    async def probed_often() -> bool:
        return service.probed > 10

    await eventually(probed_often, "ten probes")
    assert passed == []
    assert gate.closed_because == "service: ConnectionError"
    service.is_away = False
    await asyncio.wait_for(waiting, 5)


async def test_with_nobody_waiting_the_probes_alone_open_it(gate: Gate) -> None:
    gate.close("gone")
    await eventually(lambda: _is_open(gate), "the gate is open")


async def test_who_is_cancelled_while_it_waits_is_passed_over(gate: Gate, service: Service) -> None:
    passed: Passed = []
    service.is_away = True
    gate.close("gone")
    cancelled = asyncio.create_task(_passes(gate, passed, 0))
    next_one = asyncio.create_task(_passes(gate, passed, 1))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.sleep(0)
    service.is_away = False
    await asyncio.wait_for(next_one, 5)
    assert _numbers(passed) == [1]
    gate.well(_latest(passed))
    await eventually(lambda: _is_open(gate), "the gate is open")


async def test_an_outage_that_nobody_met_is_found_by_watching(gate: Gate, service: Service) -> None:
    watching = asyncio.create_task(gate.watch())
    service.is_away = True

    async def is_closed() -> bool:
        return gate.closed_because is not None

    await eventually(is_closed, "the gate is closed")
    assert gate.closed_seconds >= 0
    service.is_away = False
    await eventually(lambda: _is_open(gate), "the gate is open")
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def _length_is(passed: Passed, wanted: int) -> bool:
    return len(passed) >= wanted


async def _is_open(gate: Gate) -> bool:
    return gate.closed_because is None
