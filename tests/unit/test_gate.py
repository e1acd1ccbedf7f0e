"""The gate lets nobody pass during an outage, and opens when one that goes ahead meets none."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio

from tests.harness.stage import eventually
from worker.persistence import gate as module
from worker.persistence.gate import Gate


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


async def _passes(gate: Gate, passed: list[int], number: int) -> None:
    await gate.passed()
    passed.append(number)


async def test_when_the_probes_succeed_one_goes_ahead_and_the_others_wait_for_its_verdict(
    gate: Gate, service: Service
) -> None:
    passed: list[int] = []
    service.is_away = True
    gate.close("gone")
    waiting = [asyncio.create_task(_passes(gate, passed, number)) for number in range(3)]
    await asyncio.sleep(0)
    service.is_away = False
    await eventually(lambda: _length_is(passed, 1), "one goes ahead")
    assert passed == [0]
    gate.close("still gone")
    await eventually(lambda: _length_is(passed, 2), "another one is tried")
    assert passed == [0, 1]
    assert gate.closed_because is not None
    gate.well()
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
    assert gate.closed_because is None
    assert gate.openings == 1


async def test_a_trial_that_can_not_tell_is_followed_by_the_next_and_opens_nothing(
    gate: Gate, service: Service
) -> None:
    passed: list[int] = []
    service.is_away = True
    gate.close("gone")
    waiting = [asyncio.create_task(_passes(gate, passed, number)) for number in range(4)]
    await asyncio.sleep(0)
    service.is_away = False
    await eventually(lambda: _length_is(passed, 1), "one goes ahead")
    probed = service.probed
    for count in (2, 3):
        gate.undecided()
        await eventually(partial(_length_is, passed, count), "the next one goes ahead")
    assert service.probed == probed, "at once, without another round of probes"
    assert gate.closed_because is not None
    gate.close("still gone")
    assert gate.closed_because is not None
    await eventually(lambda: _length_is(passed, 4), "another one is tried")
    gate.well()
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
    await eventually(lambda: _is_open(gate), "the gate is open")
    assert passed == [0, 1, 2, 3]


async def test_who_goes_ahead_knows_that_it_is_the_trial_and_nobody_else_takes_himself_for_it(
    gate: Gate, service: Service
) -> None:
    assert not await gate.passed()
    service.is_away = True
    gate.close("gone")
    waiting = [asyncio.create_task(gate.passed()) for _ in range(3)]
    await asyncio.sleep(0)
    service.is_away = False
    assert await asyncio.wait_for(waiting[0], 5)
    gate.well()
    assert await asyncio.wait_for(asyncio.gather(*waiting[1:]), 5) == [False, False]


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
    passed: list[int] = []
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


async def test_who_goes_ahead_and_is_cancelled_keeps_nobody_waiting_for_ever(
    gate: Gate, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PROBE_TIMEOUT_SECONDS", 0.05)
    passed: list[int] = []
    service.is_away = True
    gate.close("gone")
    cancelled = asyncio.create_task(_passes(gate, passed, 0))
    silent = asyncio.create_task(_passes(gate, passed, 1))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.sleep(0)
    service.is_away = False
    await eventually(lambda: _length_is(passed, 1), "the next one goes ahead")
    assert passed == [1]
    await silent
    await eventually(lambda: _is_open(gate), "nobody waits any more")


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


async def _length_is(passed: list[int], wanted: int) -> bool:
    return len(passed) >= wanted


async def _is_open(gate: Gate) -> bool:
    return gate.closed_because is None
