"""Counts after a drill: every good command took effect once and was announced once, and nothing is left over."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from contracts.channels import EVENT_LOG, EVENTS
from tests.drills.scene import Scene
from tests.harness.stage import eventually

SENTINEL = "drills.sentinel"
WITHIN_SECONDS = 120.0
MOST_AT_ONCE = 200
OWED = "SELECT count(*) FILTER (WHERE published_at IS NULL) AS owed, count(*) AS rows FROM inbox"


async def count(scene: Scene, *, letters: int = 0) -> None:
    """Says what was counted. Raises: AssertionError where anything was lost or doubled."""
    await scene.traffic.stop()
    good = {command.id for command in scene.traffic.good}
    await eventually(lambda: _all_settled(scene, len(good)), "every command is settled", within_seconds=WITHIN_SECONDS)
    (heroes,) = await scene.stage.rows("SELECT count(*) AS rows, count(DISTINCT name) AS names FROM hero")
    (inbox,) = await scene.stage.rows("SELECT count(*) FROM inbox WHERE outcome = 'applied'")
    copies = await _created(scene.stage.rabbitmq_url)
    events = Counter(command_id for _, command_id in copies)
    waiting = await scene.waiting()
    left = waiting.pop("heroes.dead_letters")
    scene.screen.says(
        f"counted: {len(good)} good commands confirmed, {heroes['rows']} heroes, "
        f"{inbox['count']} applied in the inbox, "
        f"{len(copies)} events with ids of their own in the log ({copies.total() - len(copies)} repeats), "
        f"{sum(waiting.values())} left in queues, {left} dead letters"
    )
    assert heroes["rows"] == heroes["names"] == inbox["count"] == len(good)
    assert events == dict.fromkeys(good, 1), "one event for each command"
    assert not any(waiting.values())
    assert left == letters
    scene.screen.says("nothing was lost, nothing was doubled")


async def _all_settled(scene: Scene, commands: int) -> bool:
    (inbox,) = await scene.stage.rows(OWED)
    if inbox["rows"] < commands or inbox["owed"]:
        return False
    return not any(depth for queue, depth in (await scene.waiting()).items() if queue.startswith("heroes.commands"))


async def _created(rabbitmq_url: str) -> Counter[tuple[str, str]]:
    """How often each `hero.created` stands in the event log, by its id and its command's."""
    seen: Counter[tuple[str, str]] = Counter()
    token, ended = str(uuid4()).encode(), asyncio.Event()

    async def take(message: AbstractIncomingMessage) -> None:
        if message.body == token:
            ended.set()
        elif message.type == "hero.created":
            event: Mapping[str, str] = json.loads(message.body)
            seen[event["id"], event["causationid"]] += 1
        await message.ack()

    async with await aio_pika.connect(rabbitmq_url) as connection:
        channel = await connection.channel()
        await channel.set_qos(MOST_AT_ONCE)
        exchange = await channel.get_exchange(EVENTS, ensure=False)
        await exchange.publish(aio_pika.Message(token, type=SENTINEL, delivery_mode=2), SENTINEL)
        log = await channel.get_queue(EVENT_LOG, ensure=False)
        await log.consume(take, arguments={"x-stream-offset": "first"})
        await asyncio.wait_for(ended.wait(), WITHIN_SECONDS)
    return seen
