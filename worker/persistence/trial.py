"""One that goes ahead while the gate is closed, to see whether the outage is over.

It alone says what it met, however long that takes: what others met may be of another time, or of another service.
"""

import asyncio
from enum import Enum, auto


class Met(Enum):
    """What a trial met, where it was no outage."""

    A_SERVICE = auto()
    NOTHING = auto()


class Trial:
    """Of one piece of work."""

    def __init__(self) -> None:
        self.met: asyncio.Future[Met | str] = asyncio.get_running_loop().create_future()

    def ends(self, met: Met | str) -> None:
        """What it met, or the reason why that was nothing but an outage; the first word counts."""
        if not self.met.done():
            self.met.set_result(met)
