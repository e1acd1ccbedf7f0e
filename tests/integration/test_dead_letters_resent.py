"""What `heroes dead-letters replay` sends, seen where no worker takes it: as it was published, no faster than asked."""

import asyncio
import time

import aio_pika

from tests.harness.commands import create
from tests.harness.failing import LIST, REPLAY, SHOW, send
from tests.harness.letters import Pigeonhole, everything_in
from tests.harness.press import DONE, USAGE, Press
from tests.harness.stage import Stage
from tests.harness.users import management_of, user
from worker.local import Services
from worker.operations import prepare

OPERATOR = {"configure": "^$", "write": r"^heroes\.commands$", "read": r"^heroes\.dead_letters$"}


async def test_letters_that_the_broker_set_aside_are_replayed_as_they_were_published(
    press: Press, apart: Stage, services: Services
) -> None:
    """At the delivery limit, with the least rights that do; nobody is at work here."""
    await asyncio.gather(prepare.prepare_database(apart.settings()), prepare.prepare_broker(apart.settings()))
    command = create("Set aside")
    async with Pigeonhole.emptied(apart) as hole:
        headers = {"CC": ["elsewhere"], "x-mine": "kept"}
        await send(hole, command, headers=headers, correlation_id="mine", app_id="tests", reply_to="heroes.replies.x")
        await refused_to_the_limit(hole, f"heroes.commands.{command.routing_key}")
        async with management_of(services) as management, user(management, apart.rabbitmq_url, **OPERATOR) as url:
            environment = apart.environment(HEROES_RABBITMQ_URL=url)
            (await press.run(environment, *LIST)).ends(DONE, "delivery_limit", "hero.create", "took it 100 times")
            shown = (await press.run(environment, *SHOW, command.id, "--json")).ends(DONE).document
            assert (shown["set_aside_by"], shown["routing_key"]) == ("the broker", command.routing_key)
            assert shown["app_id"] == "tests", "who to talk to"
            (await press.run(environment, *REPLAY, "--type", "hero.create")).ends(DONE, "1 sent again")
        (back,) = await everything_in(hole.channel, f"heroes.commands.{command.routing_key}")
        assert await hole.count() == 0
    assert (back.body, back.exchange, back.routing_key) == (command.to_json(), "heroes.commands", command.routing_key)
    assert dict(back.headers) == {"x-mine": "kept"}
    properties = (back.message_id, back.correlation_id, back.app_id, back.reply_to, back.delivery_mode)
    assert properties == (command.id, "mine", "tests", "heroes.replies.x", 2)


async def refused_to_the_limit(hole: Pigeonhole, queue: str) -> None:
    async def refuse(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        await message.reject(requeue=True)

    source = await hole.channel.get_queue(queue)
    tag = await source.consume(refuse)
    await hole.holds(1)
    await source.cancel(tag)


async def test_what_a_worker_moved_out_of_the_way_is_put_back(press: Press, apart: Stage) -> None:
    """And a command that went straight into its queue finds it by its slot: the operator may write nowhere else."""
    await asyncio.gather(prepare.prepare_database(apart.settings()), prepare.prepare_broker(apart.settings()))
    command = create("Moved")
    moved = {"x-original-user-id": "ann", "x-original-expiration": 600_000, "x-original-priority": 3}
    direct = {"x-original-exchange": "", "x-original-routing-key": f"heroes.commands.{command.routing_key}"}
    async with Pigeonhole.emptied(apart) as hole:
        await hole.put_command(command, headers={**moved, **direct, "traceparent": "00-1", "x-original-cc": ["x"]})
        (await press.run(apart.environment(), *REPLAY, "--all")).ends(DONE, "1 sent again")
        (back,) = await everything_in(hole.channel, f"heroes.commands.{command.routing_key}")
    assert dict(back.headers) == {"traceparent": "00-1"}
    assert (back.expiration, back.priority, back.user_id) == (600, 3, None)


async def test_a_replay_goes_no_faster_than_it_is_asked_to(press: Press, apart: Stage) -> None:
    await asyncio.gather(prepare.prepare_database(apart.settings()), prepare.prepare_broker(apart.settings()))
    async with Pigeonhole.emptied(apart) as hole:
        for _ in range(6):
            await hole.put_command(create())
        began = time.monotonic()
        (await press.run(apart.environment(), *REPLAY, "--all", "--rate", "10/s")).ends(DONE, "6 sent again")
        assert time.monotonic() - began >= 0.5
        assert await hole.count() == 0
    (await press.run(apart.environment(), *REPLAY, "--all", "--rate", "0")).ends(USAGE, "should be like 50/s")


async def test_a_replay_tells_which_letters_can_only_come_back(press: Press, hole: Pigeonhole, stage: Stage) -> None:
    await hole.put(b"no JSON", reason="invalid_command")
    dry = await press.run(stage.environment(), *REPLAY, "--all", "--dry-run")
    dry.ends(DONE, "1 would be sent again", "1 of these can only come back")
