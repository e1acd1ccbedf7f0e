"""Remembers the last commands that this worker set aside, so that they can be shown without asking anybody.

Bounded in number and in length, whatever a message says; never a body, nor what stood in a field of one.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from time import time

from worker.outcomes import Letter, Traits

REMEMBERED = 200
_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class SetAside:
    """One dead letter; what could not be read of its command is None."""

    at: float
    reason: str
    detail: str
    type: str | None
    command_id: str | None


class Recent:
    """The newest last."""

    def __init__(self) -> None:
        self._letters: deque[SetAside] = deque(maxlen=REMEMBERED)

    def set_aside(self, traits: Traits, letter: Letter) -> None:
        """This letter stands in the dead-letter queue now."""
        kind, command_id = _short(traits.type), _short(traits.command_id)
        detail = letter.detail[:_CHARACTERS]
        self._letters.append(SetAside(time(), letter.reason[:_CHARACTERS], detail, kind, command_id))

    def __iter__(self) -> Iterator[SetAside]:
        return iter(self._letters)


def _short(text: str | None) -> str | None:
    return text if text is None else text[:_CHARACTERS]
