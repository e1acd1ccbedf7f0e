"""The life of one command: decode → claim → apply → record → publish → settle. Start here.

Effect, outcome and events become true in one transaction, and the broker may forget the command only when its events
are confirmed: wherever this process dies, the command comes again and the inbox knows what is still owed.
"""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from contracts.envelope import Command, instant, rfc3339
from worker.messaging.dead_letters import DeadLetters
from worker.messaging.decode import Undecodable
from worker.messaging.delivery import Delivery
from worker.messaging.publisher import EventPublisher
from worker.messaging.replies import Replies
from worker.outcomes import (
    Letter,
    Outcome,
    OutcomeKind,
    Reason,
    Rejection,
    applied,
    dead_lettered,
    rejected,
    set_aside,
)
from worker.persistence.inbox import Claim, IdReused
from worker.persistence.marker import Marker
from worker.persistence.unit_of_work import CRASHES, Handler, UnitOfWork
from worker.retry import Retry

_CRASHED = Letter(
    Reason.CRASHED_WORKER, "the worker's process ended each time it handled this command, and nothing else", CRASHES
)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Everything that one command meets on its way."""

    unit_of_work: UnitOfWork
    handlers: Mapping[str, Handler]
    retry: Retry
    events: EventPublisher
    letters: DeadLetters
    replies: Replies
    marker: Marker

    async def process(self, delivery: Delivery) -> None:
        """The command took effect once, its events are out and the broker is told; or it stays where it is."""
        async with delivery.turn:  # 1 decoded when it arrived; nobody before it is left in its lane now
            outcome = await self._decide(delivery)  # 2 claim, 3 apply, 4 record
            await self._announce(delivery, outcome)  # 5 publish
        await delivery.ack()  # 6 settle

    async def _decide(self, delivery: Delivery) -> Outcome:
        delivery.journey.starts()
        if isinstance(delivery.content, Undecodable):
            return delivery.content.outcome()
        command = cast("Command", delivery.content)  # so these queues are decoded
        confirmed = self.marker.remembered(command.id)  # before the inbox is asked: its row may be marked in between
        outcome = await self.retry.until_done(lambda: self._attempt(delivery, command), partial(self._give_up, command))
        if isinstance(outcome, IdReused):
            return _id_reused(delivery)
        if outcome.found:
            return replace(outcome, published=outcome.published or outcome.mark == confirmed)
        if outcome.kind is not OutcomeKind.DEAD_LETTERED:
            self.unit_of_work.permits.succeeded()
        return outcome

    def _attempt(self, delivery: Delivery, command: Command) -> Awaitable[Outcome | IdReused]:
        if not delivery.is_suspect:
            return self.unit_of_work.run(command, self._apply)
        return self.unit_of_work.run_alone(command, self._apply, partial(_dead_letter, _CRASHED))

    async def _apply(self, session: Any, claim: Claim) -> Outcome:
        command, time = claim.command, rfc3339(claim.now)
        if command.expirytime and instant(command.expirytime) < claim.now:
            return rejected(command, Rejection("expired", f"it expired at {command.expirytime}"), time)
        handled = await self.handlers[command.type](session, command.data)
        if isinstance(handled, Rejection):
            return rejected(command, handled, time)
        return applied(command, handled, time)

    async def _give_up(self, command: Command, letter: Letter) -> Outcome | IdReused:
        self.unit_of_work.permits.gave_up()
        return await self.retry.until_done(lambda: self.unit_of_work.run(command, partial(_dead_letter, letter)))

    async def _announce(self, delivery: Delivery, outcome: Outcome) -> None:
        delivery.journey.decided(outcome)
        if not outcome.published:
            with self.unit_of_work.pace.owing(len(outcome.events)):
                await self._publish(delivery, outcome)
            self.marker.confirmed(outcome)
        self.replies.send_soon(delivery, outcome)

    async def _publish(self, delivery: Delivery, outcome: Outcome) -> None:
        """Letter and events are confirmed, however long it takes; what is confirmed is not sent again."""
        letter, events = outcome.letter, outcome.events
        if letter:
            await self.retry.until_done(lambda: self.letters.send(delivery.message, letter))
        if events:
            await self.retry.until_done(lambda: self.events.publish(events))


def _id_reused(delivery: Delivery) -> Outcome:
    letter = Letter(Reason.ID_REUSED, "another command was handled under this id: give each command an id of its own")
    return set_aside(delivery.traits, letter, delivery.body_sha256)


async def _dead_letter(letter: Letter, _: Any, claim: Claim) -> Outcome:
    return dead_lettered(claim.command, letter, rfc3339(claim.now))
