"""Pauses that nobody sleeps and a gate whose services are well, for the tests of retries."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
import pytest_asyncio

from worker.persistence.gate import Gate


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Every pause that a retry would have made, none of it slept."""
    made: list[float] = []

    async def sleep(seconds: float) -> None:
        made.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr("worker.retry.asyncio", SimpleNamespace(sleep=sleep))
    return made


@pytest_asyncio.fixture(loop_scope="session")
async def gate() -> AsyncIterator[Gate]:
    """A gate whose services are always well when probed."""

    async def well() -> None:
        pass

    gate = Gate({"all": well}, well)
    yield gate
    await gate.stop()
