"""Sends letters again, each in steps of which none loses it and none doubles its effect.

The order of the steps is the promise: look, take back the row, publish, confirmed, remove the letter. Whoever dies
between two of them leaves the letter, and the next replay finds in the inbox what has become of it.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from worker.errors import PublishNotConfirmedError, UnreachableError
from worker.messaging.channel import ConfirmedChannel
from worker.messaging.letter import DeadLetter
from worker.messaging.letterbox import Letterbox
from worker.messaging.resend import resend
from worker.operations.dead_letters.ruling import Act, Judge, Ruling
from worker.outcomes import HOPELESS
from worker.persistence.replays import asked, release

_FAILURES_IN_A_ROW = 3
_SHOWN = 20


@dataclass(slots=True)
class Tally:
    """What became of the letters: how many of each, and the names of the first that stay."""

    of: Counter[Act] = field(default_factory=Counter)
    staying: list[tuple[str, Act]] = field(default_factory=list)
    hopeless: int = 0
    """Of those sent again, the ones that only their publisher can mend."""

    def add(self, letter: DeadLetter, act: Act) -> None:
        """One more."""
        self.of[act] += 1
        self.hopeless += act is Act.REPLAY and letter.reason in HOPELESS
        if act.leaves and len(self.staying) < _SHOWN:
            self.staying.append((letter.id, act))

    @property
    def stay(self) -> int:
        """How many are still in their queue."""
        return sum(count for act, count in self.of.items() if act.leaves)


@dataclass(frozen=True, slots=True)
class Replayer:
    """Goes through letters one at a time; `dry` looks and changes nothing."""

    judge: Judge
    box: Letterbox
    channel: ConfirmedChannel
    pause_seconds: float = 0
    dry: bool = False

    async def run(self, letters: AsyncIterator[DeadLetter]) -> AsyncIterator[tuple[DeadLetter, Act]]:
        """Each letter and what became of it.

        Raises:
            UnreachableError: a service is away; every letter is replayed, or stays, or both.
        """
        failures = 0
        async for letter in letters:
            ruling = await self.judge.rule(letter)
            act = ruling.act if self.dry else await self._carry_out(letter, ruling)
            failures = failures + 1 if act is Act.FAIL else 0
            yield letter, act
            if failures == _FAILURES_IN_A_ROW:
                raise UnreachableError(
                    "RabbitMQ takes nothing (an alarm? a full queue? no permission?)", "run it again"
                )
            if not act.leaves:
                self.judge.sent(ruling)
            if not self.dry and not act.leaves:
                await asyncio.sleep(self.pause_seconds)

    async def _carry_out(self, letter: DeadLetter, ruling: Ruling) -> Act:
        if ruling.act.refuses:
            return ruling.act
        if not ruling.act.removes_only:
            if ruling.releases:
                async with asked(self.judge.sessions) as session:
                    await release(session, ruling.releases)
            try:
                await resend(self.channel, letter)
            except PublishNotConfirmedError:
                return Act.FAIL
        await self.box.remove(letter.message)
        return ruling.act
