"""While a service is away nobody passes, and whoever wants to know hears so; when it is back the gate opens."""

import asyncio

import pytest

from tests.harness.gates import Service, Visitors
from tests.harness.stage import eventually
from worker.persistence import gate as module
from worker.persistence.gate import Gate


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
    visitors = await Visitors.before(gate, service, 1)
    service.is_away = True

    async def probed_often() -> bool:
        return service.probed > 10

    await eventually(probed_often, "ten probes")
    assert visitors.passed == []
    assert gate.closed_because == "service: ConnectionError"
    service.is_away = False
    await visitors.have_all_passed()


async def test_with_nobody_waiting_the_probes_alone_open_it(gate: Gate) -> None:
    gate.close("gone")
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


async def _is_open(gate: Gate) -> bool:
    return gate.closed_because is None
