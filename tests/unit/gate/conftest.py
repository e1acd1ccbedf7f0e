"""A gate in a hurry, and the service behind it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.harness.gates import Service, nothing_to_renew
from worker.persistence import gate as module
from worker.persistence.gate import Gate


@pytest.fixture
def service() -> Service:
    """It is there."""
    return Service()


@pytest_asyncio.fixture(loop_scope="session")
async def gate(service: Service, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gate]:
    """Open, and in a hurry once it is closed."""
    # Not so great a hurry that a test can't speak between two rounds.
    for name in ("_FIRST_PAUSE_SECONDS", "_LONGEST_PAUSE_SECONDS", "_WATCH_SECONDS"):
        monkeypatch.setattr(module, name, 0.01)
    gate = Gate({"service": service.probe}, nothing_to_renew)
    yield gate
    await gate.stop()
