"""`heroes queues` as an operator types it: what it tells with everything at hand, and with less."""

import json
import signal
from collections.abc import Mapping
from datetime import datetime

import aio_pika

from tests.harness.commands import create
from tests.harness.letters import Pigeonhole
from tests.harness.press import DONE, UNPREPARED, UNREACHABLE, USAGE, Press
from tests.harness.program import heroes
from tests.harness.stage import Stage, eventually
from tests.harness.users import management_of, user
from worker.app import Worker
from worker.local import Services

_OWED = """
INSERT INTO inbox (command_id, command_type, fingerprint, outcome, events, handled_at)
VALUES (gen_random_uuid(), 'hero.create', '\\x00', 'applied', '[]', now() - interval '5 minutes')
"""


async def test_queues_tells_what_waits_and_what_is_owed(press: Press, stage: Stage) -> None:
    """Nobody is at work yet, and AMQP and the database are enough for it."""
    async with Pigeonhole.emptied(stage) as hole:
        command = create()
        exchange = await hole.channel.get_exchange("heroes.commands", ensure=False)
        await exchange.publish(aio_pika.Message(command.to_json(), delivery_mode=2), command.routing_key)
        await hole.put_command(create())
        await hole.put(b"no JSON")
        await stage.rows(_OWED)
        queue = f"heroes.commands.{command.routing_key}"
        document = (await press.run(stage.environment(), "queues", "--json")).ends(DONE).document
        depths = {one["queue"]: one for one in document["queues"]}
        assert len(depths) == 20
        assert (depths[queue]["ready"], depths[queue]["consumers"], depths[queue]["unacked"]) == (1, 0, None)
        assert document["dead_letters"] == depths["heroes.dead_letters"]["ready"] == 2
        assert document["unpublished"]["rows"] == 1
        assert 299 < document["unpublished"]["oldest_seconds"] < 400
        said = await press.run(stage.environment(), "queues")
        said.ends(
            DONE, queue, "dead letters: 2 (heroes dead-letters list)", "unpublished rows: 1, the oldest for 5 min"
        )
        without = await press.run({"HEROES_RABBITMQ_URL": stage.rabbitmq_url}, "queues")
        without.ends(DONE, "HEROES_DATABASE_URL is not set: unpublished rows were not counted")
        await (await hole.channel.get_queue(queue)).purge()
        await stage.rows("DELETE FROM inbox")


async def test_services_that_nobody_has_set_up_are_told_with_what_to_run(press: Press, services: Services) -> None:
    with services.virtual_host("bare") as rabbitmq_url, services.database("bare") as database_url:
        environment = {"HEROES_RABBITMQ_URL": rabbitmq_url, "HEROES_DATABASE_URL": database_url}
        told = "unpublished rows were not counted: the database has no tables of ours yet: run heroes setup"
        (await press.run(environment, "queues")).ends(UNPREPARED, told)


async def test_the_management_api_tells_who_takes_them(
    press: Press, stage: Stage, services: Services, worker: Worker
) -> None:
    environment = stage.environment(HEROES_RABBITMQ_MANAGEMENT_URL=services.management_url)
    shown: Mapping[str, object] = {}

    async def told() -> bool:  # the API counts every few seconds
        nonlocal shown
        document = (await press.run(environment, "queues", "--json")).ends(DONE).document
        shown = next(one for one in document["queues"] if one["queue"] == "heroes.commands.03")
        return shown["active"] is not None and shown["unacked"] is not None

    await eventually(told, "the API knows the consumer", within_seconds=20)
    assert shown["active"] == stage.settings().worker_id
    assert (shown["consumers"], shown["unacked"]) == (1, 0)
    (await press.run(environment, "queues")).ends(DONE, stage.settings().worker_id)


async def test_a_management_api_that_refuses_or_is_away_is_a_word(
    press: Press, stage: Stage, services: Services
) -> None:
    async with management_of(services) as management, user(management, stage.rabbitmq_url, configure="^$") as url:
        who, _, _ = url.partition("//")[2].rpartition("@")
        refused = f"http://{who}@{services.management_url.rpartition('@')[2]}"
        said = await press.run(stage.environment(HEROES_RABBITMQ_MANAGEMENT_URL=refused), "queues")
        said.ends(DONE, "the management API answered 401", "dead letters: ")
    away = stage.environment(HEROES_RABBITMQ_MANAGEMENT_URL="http://a:b@127.0.0.1:1")
    (await press.run(away, "queues")).ends(DONE, "the management API does not answer", "dead letters: ")


async def test_what_is_away_or_missing_is_told(press: Press, stage: Stage, services: Services) -> None:
    nowhere = "postgresql+asyncpg://a:b@127.0.0.1:1/d"
    said = await press.run(stage.environment(HEROES_DATABASE_URL=nowhere), "queues")
    said.ends(UNREACHABLE, "dead letters: ", "unpublished rows were not counted")
    (await press.run(stage.environment(HEROES_DATABASE_URL="nonsense"), "queues")).ends(USAGE, "HEROES_DATABASE_URL")
    with services.virtual_host("bare") as bare:
        (await press.run({"HEROES_RABBITMQ_URL": bare}, "queues")).ends(UNPREPARED, "missing", "dead letters: unknown")


async def test_an_operator_sees_what_he_may(press: Press, stage: Stage, services: Services) -> None:
    """RabbitMQ 3 lets everybody look; 4.3 asks for a permission, and a queue without one is a word in its line."""
    rights = {"configure": "^$", "write": r"^heroes\.commands$", "read": r"^heroes\.dead_letters$"}
    async with management_of(services) as management, user(management, stage.rabbitmq_url, **rights) as url:
        said = await press.run(stage.environment(HEROES_RABBITMQ_URL=url), "queues", "--json")
    document = said.ends(DONE).document
    assert document["dead_letters"] is not None
    words = {one["word"] for one in document["queues"] if one["ready"] is None}
    assert words in (set(), {"this user may not look at it"})


async def test_watch_looks_again_until_it_is_interrupted(stage: Stage) -> None:
    async with heroes(stage.environment(), "queues", "--watch", "--json") as program:

        async def twice() -> bool:
            return len(program.lines) >= 2

        await eventually(twice, "a second look", within_seconds=20)
        program.tell(signal.SIGINT)
        assert await program.ended(within_seconds=10) == DONE
        assert all(json.loads(line)["dead_letters"] is not None for line in program.lines)
        times = [datetime.fromisoformat(json.loads(line)["time"]) for line in program.lines]
        assert times == sorted(set(times)), "whoever reads it later knows when it was"
