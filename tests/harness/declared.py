"""How a command queue is to be declared, and what a broker has otherwise."""

from typing import Any

from aio_pika.abc import AbstractConnection

from worker.messaging.examination import State, examined

DAYS = 7
COMMAND_ARGUMENTS: dict[str, Any] = {
    "x-queue-type": "quorum",
    "x-single-active-consumer": True,
    "x-delivery-limit": 100,
    "x-dead-letter-exchange": "heroes.dead_letters",
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
    "x-consumer-disconnected-timeout": 5000,
}


async def faults(connection: AbstractConnection) -> list[str]:
    """What is missing or has other arguments."""
    seen = [one async for one in examined(connection, DAYS)]
    missing = [f"{one.name} is missing" for one in seen if one.state is State.MISSING]
    return [*missing, *(str(one.wrong) for one in seen if one.wrong)]
