"""The one place where every exception is caught, so that what must go on can look at the failure and go on.

A real cancellation always passes through. A false one does not: when its connection dies, the AMQP client cancels
the future of a pending confirm, and whoever waits for it sees CancelledError though nobody cancelled its task.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from worker.errors import PublishNotConfirmedError

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Failure:
    """What came instead of a result."""

    error: BaseException


async def caught(work: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T | Failure:
    """The result of `work(…)`, or its failure; only a real cancellation and what ends the process pass through.

    A library's `sys.exit()` and the panic of an extension are failures like any other: they must not end the process,
    nor stop FastStream's subscriber, which takes every further message for nobody's then.

    The work is called here, not by the caller: a task that is cancelled before its first step leaves nothing unawaited.
    """
    try:
        return await work(*args, **kwargs)
    except asyncio.CancelledError:
        if cancelled_for_real():
            raise
        return Failure(PublishNotConfirmedError("the connection was lost while a confirm was due"))
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001 - this is the one place
        return Failure(error)


def attempted(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Failure:
    """The same for work that awaits nothing, and so is never cancelled."""
    try:
        return work(*args, **kwargs)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001 - this is the one place
        return Failure(error)


async def relayed(awaitable: Awaitable[T], answer: Callable[[T], R], refuse: Callable[[BaseException], R]) -> R:
    """What `answer` makes of the result, or `refuse` of whatever was raised, a cancellation, too: it has to raise that
    where somebody waits for it.
    """
    try:
        result = await awaitable
    except BaseException as error:  # noqa: BLE001 - this is the one place
        return refuse(error)
    return answer(result)


def cancelled_for_real() -> bool:
    """Somebody cancelled the present task; otherwise its CancelledError came out of a future and is a failure."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
