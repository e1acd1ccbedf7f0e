"""Work of the AMQP library in a task of its own: with a lost connection it cancels what waits, and that is not ours."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from aio_pika.exceptions import AMQPException

# StopAsyncIteration is what aiormq raises when the broker closes the door during the handshake.
GONE = (AMQPException, OSError, RuntimeError, TimeoutError, StopAsyncIteration)

T = TypeVar("T")


async def apart(work: Coroutine[Any, Any, T], timeout_seconds: float | None = None) -> T | None:
    """Its result; none if the broker is gone or it took too long. A bug of ours is raised."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=timeout_seconds)
    finally:
        if not task.done():
            task.cancel()
    if not task.done() or task.cancelled():
        return None
    error = task.exception()
    if error is None:
        return task.result()
    # A bare `Exception` is what a confirm ends with whose channel was closed for no reason that aiormq knows.
    if isinstance(error, GONE) or type(error) is Exception:
        return None
    raise error
