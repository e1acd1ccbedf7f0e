"""Keeps commands from being applied faster than the broker takes their events.

What is owed is counted from the commit to the broker's word, in events. Nobody begins a transaction while too many are
owed, so what is applied and untold, and the memory that it takes, is bounded however long the broker stays away.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from worker.errors import HeldBackError

_OWED_AT_MOST = 10_000


class Pace:
    """The events that this process owes just now; those of rows that others left behind are not among them."""

    def __init__(self, owed_at_most: int = _OWED_AT_MOST) -> None:
        self._owed_at_most = owed_at_most
        self._room = asyncio.Event()
        self._room.set()
        self.events_owed = 0

    def require_room(self) -> None:
        """One more may be applied. Ask with a permit in hand: more than the permits' holders never begin on one answer.

        Raises:
            HeldBackError: too many events are owed. Give the permit back and wait until it is over.
        """
        if not self._room.is_set():
            raise HeldBackError(self._room.wait)

    @contextmanager
    def owing(self, events: int) -> Iterator[None]:
        """Stands around the publication of so many events, whose transaction has just been committed."""
        self._owes(events)
        try:
            yield
        finally:
            self._owes(-events)

    def _owes(self, more: int) -> None:
        self.events_owed += more
        if self.events_owed < self._owed_at_most:
            self._room.set()
        else:
            self._room.clear()
