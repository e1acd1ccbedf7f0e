"""Answers queries, beside the commands and never behind them: at once, or not at all.

A query changes nothing and nobody remembers it, so whatever goes wrong is told to its asker, and the query is over.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from contracts.channels import QUERY_FAILED
from contracts.envelope import Request
from worker.failsafe import Failure, caught
from worker.messaging.decode import Undecodable
from worker.messaging.delivery import Delivery
from worker.messaging.replies import Replies, answer
from worker.outcomes import Fact, Rejection
from worker.persistence.database import Answer, Sessions
from worker.persistence.gate import Gate
from worker.persistence.sqlstate import translated

_UNAVAILABLE = Rejection("unavailable", "the worker can't reach its database just now: ask again later")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answering:
    """Everything that one query meets on its way."""

    sessions: Sessions
    answers: Mapping[str, Answer]
    gate: Gate
    replies: Replies

    async def process(self, delivery: Delivery) -> None:
        """The asker has its answer, or knows why not; whoever did not say where to answer gets none."""
        query = delivery.content
        if self.replies.wanted_by(delivery):
            answered = await self._answer(query)
            self.replies.post(delivery, answer(delivery.traits, _told(answered)))
        await delivery.ack()

    async def _answer(self, query: Request | Undecodable) -> Fact | Rejection:
        if isinstance(query, Undecodable):
            return Rejection("invalid_query", query.letter.detail)
        if self.gate.closed_because is not None:
            return _UNAVAILABLE
        result = await caught(self.answers[query.type], self.sessions, query.data)
        if not isinstance(result, Failure):
            return result
        if translated(result.error) is None:
            _log.error("a query of type %s failed: %s", query.type, type(result.error).__name__)
        return _UNAVAILABLE


def _told(answered: Fact | Rejection) -> Fact:
    if isinstance(answered, Fact):
        return answered
    return Fact(QUERY_FAILED, answered.subject, {"code": answered.code, "detail": answered.detail})
