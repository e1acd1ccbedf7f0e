"""Work that fails as often as a test wants, and what is said of it when it is given up."""

from collections.abc import Sequence

from worker.outcomes import Letter
from worker.retry import RetryPolicy

DEFAULT = RetryPolicy()


class Work:
    """Fails with these errors one after the other, then gives a result."""

    def __init__(self, errors: Sequence[BaseException]) -> None:
        self._errors = list(errors)
        self.runs = 0

    async def __call__(self) -> str:
        self.runs += 1
        if self._errors:
            raise self._errors.pop(0)
        return "done"


async def give_up(letter: Letter) -> str:
    """The reason and the attempts, in place of a dead letter."""
    return f"{letter.reason} after {letter.attempts}"
