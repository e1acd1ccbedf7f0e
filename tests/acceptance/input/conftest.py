"""One connection for all tests of a module: they are many and small."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.harness.stage import Stage
from tests.harness.wire import Wire


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def one_wire(stage: Stage) -> AsyncIterator[Wire]:
    """The connection."""
    async with Wire.connected(stage) as connected:
        yield connected


@pytest.fixture
def wire(one_wire: Wire) -> Wire:
    """It has heard nothing yet; the tests leave nothing under way for each other."""
    one_wire.events.clear()
    one_wire.letters.clear()
    return one_wire
