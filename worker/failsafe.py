"""The one place where every exception is caught, so that what must go on can look at the failure and go on.

A real cancellation always passes through. A false one does not: when its connection dies, the AMQP client cancels
the future of a pending confirm, and whoever waits for it sees CancelledError though nobody cancelled its task.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from worker.errors import PublishNotConfirmedError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failure:
    """What came instead of a result."""

    error: Exception


async def caught(work: Awaitable[T]) -> T | Failure:
    """The result of `work`, or its failure; what is no `Exception`, and a real cancellation, pass through."""
    try:
        return await work
    except asyncio.CancelledError:
        if cancelled_for_real():
            raise
        return Failure(PublishNotConfirmedError("the connection was lost while a confirm was due"))
    except Exception as error:  # noqa: BLE001 - this is the one place
        return Failure(error)


def cancelled_for_real() -> bool:
    """Somebody cancelled the present task; otherwise its CancelledError came out of a future and is a failure."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
