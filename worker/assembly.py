"""Builds the rooms of a worker and joins them; nothing runs yet afterwards."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from aio_pika.abc import AbstractRobustConnection

from contracts import channels
from contracts.channels import command_queues
from worker.answering import Answering
from worker.entity import Entity
from worker.messaging.channel import ConfirmedChannel
from worker.messaging.connection import with_heartbeat
from worker.messaging.consumer import rabbit_broker
from worker.messaging.dead_letters import DeadLetters
from worker.messaging.decode import Decoder
from worker.messaging.intake import Intake
from worker.messaging.publisher import EventPublisher
from worker.messaging.replies import Replies
from worker.observability.readings import Reading
from worker.persistence.database import Database
from worker.persistence.gate import Gate
from worker.persistence.marker import Marker
from worker.persistence.pace import Pace
from worker.persistence.permits import Permits
from worker.persistence.suspects import Suspects
from worker.persistence.unit_of_work import UnitOfWork
from worker.pipeline import Pipeline
from worker.readiness import Readiness, readiness
from worker.retry import Retry
from worker.settings import Settings
from worker.sweeper import Sweeper
from worker.watch import Watch

_QUERIES_IN_HAND = 32


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker with everything in its place."""

    pipeline: Pipeline
    intake: Intake
    gate: Gate
    sweeper: Sweeper
    database: Database
    readiness: Readiness
    concurrency: int

    async def problems(self) -> Mapping[str, str | None]:
        """Each part by name, None where it is well: what `/readyz` tells."""
        return await self.readiness.problems()

    async def reading(self) -> Reading:
        """The figures of this moment."""
        settlements = self.intake.settlements()
        expected = self.intake.queues
        return Reading(
            in_flight=sum(one.in_hand for one in settlements.values()),
            lanes_waiting=self.intake.lanes_waiting,
            prefetch_full={queue: one.is_full for queue, one in settlements.items()},
            gate_closed=self.gate.closed_because is not None,
            gate_closed_seconds=self.gate.all_closed_seconds,
            pool_in_use=self.database.in_use,
            pool_size=self.concurrency,
            events_owed=self.pipeline.unit_of_work.pace.events_owed,
            permits_slow=self.pipeline.unit_of_work.permits.is_slow,
            queues_attached=len(expected) - len(await self.intake.unattached()),
            queues_expected=len(expected),
        )


@dataclass(frozen=True, slots=True)
class _Channels:
    """One for each purpose: what disturbs one of them disturbs no other."""

    events: ConfirmedChannel
    letters: ConfirmedChannel
    replies: ConfirmedChannel

    @classmethod
    def on(cls, connection: AbstractRobustConnection, settings: Settings, watch: Watch) -> "_Channels":
        one = partial(ConfirmedChannel, connection, settings.publish_timeout_seconds, watch)
        return cls(one(), one(), one())


def assembled(
    settings: Settings, entity: Entity, database: Database, publishing: AbstractRobustConnection, watch: Watch
) -> Worker:
    """A worker for this entity, between this database and this connection."""
    publishing.reconnect_callbacks.add(lambda *_: watch.reconnected("publishing"))
    to = _Channels.on(publishing, settings, watch)
    gate = Gate({"database": database.probe, "publishing": to.events.ready}, database.renew)
    permits, suspects = Permits(settings.concurrency), Suspects(database.side_sessions)
    pipeline = Pipeline(
        unit_of_work=UnitOfWork(database.transactions, permits, suspects, Pace(), watch),
        handlers=entity.handlers,
        retry=Retry(gate, entity.retry, watch),
        events=EventPublisher(to.events, watch),
        letters=DeadLetters(to.letters, settings.worker_id),
        replies=Replies(to.replies),
        marker=Marker(database.side_sessions),
    )
    answering = Answering(database.reading_sessions, entity.answers, gate, pipeline.replies)
    intake = _intake(settings, entity, pipeline, answering, watch)
    sweeper = Sweeper(
        database.side_sessions,
        pipeline.events,
        pipeline.marker,
        gate,
        settings.sweep_after_seconds,
        settings.inbox_retention_days,
        watch,
    )
    ready = readiness(settings, intake, to.events, gate, database)
    return Worker(pipeline, intake, gate, sweeper, database, ready, settings.concurrency)


def _intake(settings: Settings, entity: Entity, pipeline: Pipeline, answering: Answering, watch: Watch) -> Intake:
    broker = rabbit_broker(with_heartbeat(settings.rabbitmq_url), logging.getLogger("worker.faststream"))
    intake = Intake(broker, settings.worker_id, watch)
    broker.add_middleware(intake.arrival)
    decoder = Decoder(entity.commands, settings.max_body_bytes)
    for queue in command_queues():
        intake.subscribe(queue, decoder, pipeline.process, settings.prefetch)
    if entity.queries:
        decoder = Decoder(entity.queries, settings.max_body_bytes)
        intake.subscribe(channels.QUERIES, decoder, answering.process, _QUERIES_IN_HAND)
    return intake
