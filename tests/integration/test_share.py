"""What share of the queues a process consumes first, and that no queue waits for a process that does not come."""

import httpx
import pytest

from contracts.channels import command_queues
from tests.harness.attending import Attending
from tests.harness.cable import Cable
from tests.harness.commands import create
from tests.harness.ledger import announced, everything_heard, send_all
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire
from worker.app import running_worker
from worker.messaging.share import Share

MINE, THEIRS = set(command_queues()[0::2]), set(command_queues()[1::2])


def test_every_queue_is_in_exactly_one_share_and_queries_are_in_all() -> None:
    """With more processes than queues, none is without."""
    for parts in (1, 2, 3, 17, 40):
        shares = [Share(part, parts) for part in range(parts)]
        owners = [sum(share.includes(queue) for share in shares) for queue in command_queues()]
        assert set(owners) == ({1} if parts <= len(owners) else {2, 3})
        assert all(any(map(share.includes, command_queues())) for share in shares)
        assert all(share.includes("heroes.queries") for share in shares)


async def test_others_queues_are_due_when_its_own_have_been_consumed_for_long_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As long as none of its own is, nobody else has had the time to come either."""
    share, everything = Share(0, 2), list(command_queues())
    assert set(share.taken_up(everything)) == MINE
    assert share.taken_up(sorted(THEIRS)) == []
    monkeypatch.setattr("worker.messaging.share._SECONDS_FOR_EACH", -1)
    assert share.taken_up(sorted(THEIRS)) == sorted(THEIRS)
    monkeypatch.undo()
    assert set(share.taken_up(everything)) == MINE
    assert share.taken_up(sorted(THEIRS)) == []


async def test_a_queue_that_can_not_be_consumed_keeps_no_process_from_standing_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    share, (stubborn, *_) = Share(0, 2), sorted(MINE)
    share.taken_up(command_queues())
    monkeypatch.setattr("worker.messaging.share._SECONDS_FOR_EACH", -1)
    assert set(share.taken_up({stubborn, *THEIRS})) == {stubborn, *THEIRS}


async def test_a_single_worker_waits_for_nobody() -> None:
    assert Share().taken_up(command_queues()) == list(command_queues())


async def test_a_queue_whose_own_process_does_not_come_is_consumed_all_the_same(stage: Stage, wire: Wire) -> None:
    async with running_worker(stage.settings(), share=Share(0, 2)) as alone:
        assert set(await alone.intake.unattached()) == THEIRS
        assert (await alone.problems())["commands"] == "leaving 8 queues to the other processes for a few seconds"

        async def takes_all() -> bool:
            return not await alone.intake.unattached()

        commands = [create(name=f"Alone {number}") for number in range(20)]
        await send_all(wire, commands)
        await eventually(takes_all, "every queue is consumed", within_seconds=15)
        await announced(wire, commands)
    (await everything_heard(wire)).assert_one_event_each(commands)


@pytest.mark.fault
async def test_the_queues_are_shared_out_again_when_both_come_back(
    stage: Stage, wire: Wire, management: httpx.AsyncClient
) -> None:
    attending = Attending(stage, management)
    spread_by_name = await attending.knows_priorities()

    before = set[str]()

    async def shared_out() -> bool:
        active, tags = await attending.active(), await attending.tags() - before
        both = len(active) == 2 and len(tags) == 2 * len(command_queues())
        return both and (spread_by_name or active == {"back#0": MINE, "back#1": THEIRS})

    async with Cable.to(stage.rabbitmq_url) as cable:
        settings = [stage.settings(rabbitmq_url=cable.url, worker_id=f"back#{number}") for number in range(2)]
        async with running_worker(settings[0], share=Share(0, 2)), running_worker(settings[1], share=Share(1, 2)):
            await eventually(shared_out, "each is active in its own share")
            before |= await attending.tags()
            cable.cut()
            commands = [create(name=f"Back {number}") for number in range(50)]
            await send_all(wire, commands)
            await eventually(shared_out, "each is active in its own share again")
            await announced(wire, commands)
    (await everything_heard(wire)).assert_one_event_each(commands)
