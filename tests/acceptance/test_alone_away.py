"""One command that alone finds the database away holds up the others for a moment, and never for good."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from tests.harness.commands import create
from tests.harness.directed import Handlers
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire
from worker import heroes
from worker.app import running_worker
from worker.outcomes import Handled


async def test_after_everything_was_released_for_its_sake_the_others_are_applied_all_the_same(
    stage: Stage, wire: Wire
) -> None:
    """Its table is missing, say. Then nobody waits any more who could show that all is well for others."""
    handlers, is_mended = Handlers(), False

    async def meets_an_outage(session: AsyncSession, data: Any, _: int) -> Handled:
        if not is_mended:
            await session.execute(text("SELECT FROM a_table_that_is_not_there"))
        return await heroes.create(session, data)

    odd, healthy = create(name=handlers.name(meets_an_outage)), create(name="Healthy")
    settings = stage.settings(outage_release_seconds=1, shutdown_timeout_seconds=5)
    async with running_worker(settings, handlers.entity()) as worker:

        async def is_released() -> bool:
            return worker.intake.is_released

        await wire.outcome(create(name="First"))
        await wire.send(odd)
        await eventually(is_released, "the commands have gone back")
        assert (await wire.outcome(healthy))["type"] == "hero.created"
        is_mended = True
        await wire.events_of(odd.id)
    assert wire.letters == []
