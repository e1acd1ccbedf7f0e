"""Keeps the greenlets in which SQLAlchemy's synchronous code awaits the driver: lends them to one work after another.

For a new one Python maps memory, and unmaps it at its end, which costs the processor's caches as much as a statement.
Invariant: one is lent again only when its own work has returned; where the work raised, it has ended with it.
"""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from greenlet import getcurrent, greenlet

from worker.failsafe import relayed

P = ParamSpec("P")
T = TypeVar("T")

_PENDING = object()


class Greenlets:
    """As many as were at work at once, all in the thread where they began."""

    def __init__(self) -> None:
        self._waiting: list[_Kept] = []

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the work returned. It may await whatever SQLAlchemy awaits in its place, and sees the caller's context.

        Raises:
            BaseException: whatever the work raised; what it awaits raises there first, a cancellation, too.
        """
        kept = self._waiting.pop() if self._waiting else _new()
        kept.result = _PENDING
        kept.gr_context = getcurrent().gr_context
        awaited = kept.goes_on((work, args, kwargs))
        while kept.result is _PENDING:
            awaited = await relayed(awaited, kept.goes_on, kept.fails)
        result, kept.result = kept.result, None
        kept.gr_context = None
        self._waiting.append(kept)
        return cast("T", result)

    def end(self) -> None:
        """Those that wait for work have ended."""
        self._waiting.clear()


class _Kept(greenlet):  # type: ignore[misc]  # the library tells no types
    __sqlalchemy_greenlet_provider__ = True  # asked for by SQLAlchemy before it hands something to the parent to await

    result: Any = None

    def goes_on(self, given: Any) -> Any:
        """It has what it waited for; until it has a result, this is what it waits for next."""
        self.parent = getcurrent()  # who resumes it, each time: a coroutine may be closed in the midst of another work
        return self.switch(given)

    def fails(self, error: BaseException) -> Any:
        """The same, where what it waited for raised."""
        self.parent = getcurrent()
        return self.throw(type(error), error, error.__traceback__)


def _new() -> _Kept:
    kept = _Kept(_work)
    kept.switch()  # it waits for work; what is given with the first switch is held to the end
    return kept


def _work() -> None:
    while True:  # without a name for itself: one that waits would hold itself and never be collected
        work, args, kwargs = getcurrent().parent.switch()
        getcurrent().result = work(*args, **kwargs)
        del work, args, kwargs
