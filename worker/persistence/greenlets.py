"""Keeps the greenlets in which SQLAlchemy's synchronous code awaits the driver: lends them to one work after another.

For a new one Python maps memory, and unmaps it at its end, which costs the processor's caches as much as a statement.
Invariant: one whose work raised has ended with it, so what is lent has nothing of an earlier work in hand.
"""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from greenlet import getcurrent, greenlet

from worker.failsafe import relayed

P = ParamSpec("P")
T = TypeVar("T")

_DONE = object()


class Greenlets:
    """As many as were at work at once."""

    def __init__(self) -> None:
        self._waiting: list[_Kept] = []

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the work returned. It may await whatever SQLAlchemy awaits in its place, and sees the caller's context.

        Raises:
            BaseException: whatever the work raised; what it awaits raises there first, a cancellation, too.
        """
        kept = self._waiting.pop() if self._waiting else _new()
        kept.parent = caller = getcurrent()
        kept.gr_context = caller.gr_context
        said = kept.switch(work, args, kwargs)
        while said is not _DONE:  # but something to be awaited for it
            said = await relayed(said, kept.switch, kept.throw)
        result: T = kept.result
        kept.result = kept.gr_context = None
        self._waiting.append(kept)
        return result

    def end(self) -> None:
        """None is kept any more."""
        self._waiting.clear()


class _Kept(greenlet):  # type: ignore[misc]  # the library tells no types
    __sqlalchemy_greenlet_provider__ = True  # asked for by SQLAlchemy before it hands something to the parent to await

    result: Any = None


def _new() -> _Kept:
    kept = _Kept(_work)
    kept.switch()  # it waits for work; what it were given with this first switch it would hold to its end
    return kept


def _work() -> None:
    while True:  # without a name for itself: it would never be collected
        work, args, kwargs = getcurrent().parent.switch(_DONE)
        getcurrent().result = work(*args, **kwargs)
        del work, args, kwargs
