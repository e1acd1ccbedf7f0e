"""Whatever dies half way through a replay: nothing is lost, no effect is doubled, no end stays untold."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from tests.harness.commands import create
from tests.harness.failing import BROKEN, REPLAY, becomes, given_up, heroes_called
from tests.harness.letters import Pigeonhole
from tests.harness.press import DONE, Press
from tests.harness.stage import Stage, eventually
from worker.app import Worker
from worker.persistence.marker import Marker

WINDOWS = {
    "before the row is taken back": "import worker.operations.dead_letters.replaying as r; r.release = DIE",
    "after the row was taken back": "import worker.operations.dead_letters.replaying as r; r.resend = DIE",
    "after it was confirmed": "from worker.messaging.letterbox import Letterbox as B; B.remove = DIE",
    "after the letter was acknowledged": (
        "from worker.operations.dead_letters.reading import Opened as O; O.tell_unseen = DIE"
    ),
}


@pytest.mark.parametrize("window", WINDOWS)
async def test_a_crash_half_way_loses_nothing_and_doubles_no_effect(
    press: Press, stage: Stage, hole: Pigeonhole, worker: Worker, window: str
) -> None:
    command = create(name := f"Crashed {uuid4()}")
    BROKEN.add(name)
    await given_up(stage, hole, command)
    BROKEN.clear()
    die = f"DIE = lambda *_: os._exit(99); {WINDOWS[window]}"
    assert (await press.run(stage.environment(), *REPLAY, command.id, before=die)).code == 99
    if "confirmed" in window:
        await becomes(stage, command, "applied")
    await hole.holds(0 if "acknowledged" in window else 1)
    if "acknowledged" not in window:
        said = await press.run(stage.environment(), *REPLAY, "--all")
        said.ends(DONE, "applied meanwhile" if "confirmed" in window else "1 sent again")
    await becomes(stage, command, "applied")
    assert await hole.count() == 0
    assert await heroes_called(stage, name) == 1


async def test_an_end_that_nobody_announced_is_announced_before_it_can_be_taken_back(
    press: Press, stage: Stage, hole: Pigeonhole, worker: Worker
) -> None:
    """A worker died between its acknowledgement and the mark of the row, which is never forgotten while it owes."""
    command = create(name := f"Unannounced {uuid4()}")
    BROKEN.add(name)
    await given_up(stage, hole, command)
    BROKEN.clear()
    await stage.rows("UPDATE inbox SET published_at = NULL WHERE command_id = $1", command.id)
    (await press.run(stage.environment(), *REPLAY, command.id)).ends(DONE, "1 sent again to have its end announced")
    await becomes(stage, command, "dead_lettered")
    await hole.holds(1)
    (await press.run(stage.environment(), *REPLAY, command.id)).ends(DONE, "1 sent again")
    await becomes(stage, command, "applied")


async def test_a_worker_that_still_has_to_mark_the_old_outcome_does_not_mark_the_new_one(
    press: Press, stage: Stage, hole: Pigeonhole, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It marked the row, the answer was lost, and so it will mark it again, when there is another row by now."""
    command, marker = create(name := f"Marked {uuid4()}"), worker.pipeline.marker
    mark, publish = Marker._mark, worker.pipeline.events.publish
    answers, may_publish = asyncio.Event(), asyncio.Event()

    async def unanswered(self: Marker, marks: Any) -> None:
        await mark(self, marks)
        if not answers.is_set() and command.id in marks:
            raise ConnectionError

    async def held_up(events: Any) -> None:
        if events[0].envelope["type"] == "hero.created" and events[0].envelope["causationid"] == command.id:
            await may_publish.wait()
        await publish(events)

    BROKEN.add(name)
    monkeypatch.setattr(Marker, "_mark", unanswered)
    await given_up(stage, hole, command)
    BROKEN.clear()
    monkeypatch.setattr(type(worker.pipeline.events), "publish", lambda _, events: held_up(events))
    (await press.run(stage.environment(), *REPLAY, command.id)).ends(DONE, "1 sent again")

    async def is_applied() -> bool:
        row = await stage.inbox(command.id)
        return row is not None and row["outcome"] == "applied"

    await eventually(is_applied, "the replayed command is applied")
    assert marker.remembered(command.id), "otherwise nothing is proven here"
    answers.set()
    assert await marker.flush()
    assert not await stage.is_published(command.id)
    may_publish.set()
    await becomes(stage, command, "applied")
