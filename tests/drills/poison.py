"""A thousand commands that nobody can apply come among good ones: those go on, these wait for a person."""

import asyncio
import json
import signal
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import aio_pika

from contracts.channels import COMMANDS, slot
from contracts.envelope import CONTENT_TYPE, Command
from tests.drills.counting import count
from tests.drills.misbehaving import RAISES
from tests.drills.scene import Scene
from tests.harness.commands import create, document_of, raw_create

EACH, BUGS = 250, 40
GOOD = 500
FIGURES = ("worker_dead_letters_total", "worker_commands_total", "worker_retries_total", "worker_permits_slow")


async def poison_flood(scene: Scene) -> None:
    """Three kinds can never be applied and are dropped; one kind is a bug of the worker's and is replayed."""
    early = [create(name=f"Early {number}") for number in range(EACH)]
    await scene.traffic.send(early)
    scene.screen.says(f"{4 * EACH} bad commands come, among {GOOD} good ones")
    bugs = [create(name=f"{RAISES} {number}") for number in range(EACH)]
    await asyncio.gather(_flood(scene, early), scene.traffic.burst(GOOD), scene.traffic.send(bugs))
    await scene.watch.fires("PoisonFlood", "DeadLetters")
    await scene.shell.first_looks()
    await scene.watch.until(lambda: scene.worker.output.count("dead-lettered: handler_failed") == EACH, "all given up")
    await scene.shell.figures(*FIGURES)
    await scene.shell.heroes("dead-letters", "list")
    await scene.shell.heroes("dead-letters", "show", bugs[0].id)
    scene.log("attempt")
    await _cured(scene)
    why = "the shop sends right ones under new ids"
    for reason in ("invalid_command", "unknown_type", "id_reused"):
        log = str(scene.folder / "dropped.jsonl")
        await scene.shell.heroes("dead-letters", "drop", "--reason", reason, "--yes", "--why", why, "--log", log)
    await scene.shell.heroes("dead-letters", "list")
    await scene.watch.all_clear()
    await count(scene)


async def every_handler_raises(scene: Scene) -> None:
    """A bug in every command, and no good one between them: the worker slows down, to spoil no more of them."""
    await scene.traffic.stop()
    scene.screen.says(f"{BUGS} commands come, and all of them meet a bug")
    await scene.traffic.send([create(name=f"{RAISES} {number}") for number in range(BUGS)])
    await scene.watch.fires("PermitsSlow")
    await scene.shell.first_looks()
    await scene.shell.figures(*FIGURES)
    scene.log("attempt")
    scene.log("in a row")
    await _cured(scene)
    await scene.watch.all_clear()
    await count(scene)


async def _cured(scene: Scene) -> None:
    """A worker without the bug runs in the other's place, and what the bug has spoiled is sent again."""
    scene.screen.says("the worker's log says where the handler raised; the cure is deployed")
    scene.worker.tell(signal.SIGTERM)
    assert await scene.worker.ended(within_seconds=40) == 0
    await scene.start_worker()
    await scene.watch.is_ready()
    await scene.shell.heroes("dead-letters", "replay", "--reason", "handler_failed", "--dry-run")
    await scene.shell.heroes("dead-letters", "replay", "--reason", "handler_failed")


async def _flood(scene: Scene, known: Sequence[Command]) -> None:
    """On a connection of their own: the client of the house would refuse to send them."""
    bodies = [
        *(b"{no json" for _ in range(EACH)),
        *(_bytes(raw_create(type="hero.promote")) for _ in range(EACH)),
        *(_bytes(document_of(command) | {"data": {"name": "Another", "secret_name": "?"}}) for command in known),
    ]
    async with await aio_pika.connect(scene.stage.rabbitmq_url) as connection:
        exchange = await (await connection.channel()).get_exchange(COMMANDS, ensure=False)
        for body in bodies:
            message = aio_pika.Message(body, content_type=CONTENT_TYPE, delivery_mode=2)
            await exchange.publish(message, slot(str(uuid4())))


def _bytes(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document).encode()
