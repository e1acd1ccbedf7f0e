"""Who takes part: ours in several settings, the hand-written limit, and the peers, lean and on the same work as ours.

Invariant: a peer runs as its own documentation shows; its name or its file tells what else is set (processes, threads,
prefetch, pool), so that both cores are used and nobody waits for a connection.
"""

from dataclasses import replace

from benchmarks.contestants import HAND_WRITTEN, WORKER, Contestant

_NO_INBOX = "inbox, event, order"
_NO_OUTBOX = "order, outcomes on record, the event of a command whose process ends after its commit, the event log"
_NO_RETRIES = "retries (an error loses the command)"
_SIGTERM = -15

CELERY = Contestant(
    "celery, 2 processes",
    ("-m", "celery", "-A", "benchmarks.peers.celery_orm", "worker", "-c", "2", "-l", "WARNING"),
    fill=("-m", "benchmarks.peers.celery_orm", "create_hero"),
    needs=("celery", "psycopg"),
    leaves_out=f"{_NO_INBOX}, and it acknowledges before the work",
)
DRAMATIQ = Contestant(
    "dramatiq, 2 x 4 threads",
    ("-m", "dramatiq", "benchmarks.peers.dramatiq_orm", "-p", "2", "-t", "4", "--queues", "default"),
    fill=("-m", "benchmarks.peers.dramatiq_orm", "create_hero"),
    needs=("dramatiq", "pika", "psycopg"),
    leaves_out=_NO_INBOX,
)
TASKIQ = Contestant(
    "taskiq, 2 processes",
    ("-m", "taskiq", "worker", "benchmarks.peers.taskiq_orm:broker", "-w", "2", "--log-level", "WARNING"),
    fill=("-m", "benchmarks.peers.taskiq_orm", "create_hero"),
    needs=("taskiq", "taskiq_aio_pika"),
    leaves_out=_NO_INBOX,
)
FASTSTREAM = Contestant(
    "textbook FastStream + ORM",
    ("-m", "benchmarks.peers.faststream_orm", "work"),
    fill=("-m", "benchmarks.peers.faststream_orm", "create_hero"),
    needs=("faststream",),
    leaves_out=f"inbox, order, {_NO_RETRIES}",
    events="textbook.events",
)
LEAN_PEERS = (CELERY, TASKIQ, DRAMATIQ, FASTSTREAM)


def with_inbox_and_event(peer: Contestant, events: str, *, retries: bool = False) -> Contestant:
    """The same program on the same work as ours: a repeat has no effect, a confirmed event, an ack afterwards."""
    module = peer.fill[:-1]
    return replace(
        peer,
        name=f"{peer.name}, with inbox and event",
        fill=(*module, "create_once"),
        leaves_out=_NO_OUTBOX if retries else f"{_NO_RETRIES}, {_NO_OUTBOX}",
        events=events,
        remembers=True,
    )


TEXTBOOK = with_inbox_and_event(FASTSTREAM, FASTSTREAM.events)
PEERS = (
    with_inbox_and_event(CELERY, "celery.events"),
    with_inbox_and_event(TASKIQ, "taskiq.events"),
    with_inbox_and_event(DRAMATIQ, "dramatiq.events", retries=True),
    TEXTBOOK,
)

HTTP = Contestant(
    "FastAPI + SQLModel over HTTP",
    ("-m", "uvicorn", "benchmarks.peers.fastapi_sqlmodel:app", "--no-access-log", "--log-level", "warning"),
    needs=("aiohttp", "sqlmodel"),
    leaves_out="queue, inbox, event, order",
    leaves_with=(0, _SIGTERM),
)


def ours_at(concurrency: int) -> Contestant:
    """One worker process with so many commands at work."""
    settings = (("concurrency", str(concurrency)),)
    return Contestant(f"{WORKER.name}, concurrency {concurrency}", WORKER.arguments, settings)


def hand_written(processes: int) -> Contestant:
    """So many hand-written loops, which share out the queues."""
    sharing = Contestant(HAND_WRITTEN.name, (*HAND_WRITTEN.arguments, "{copy}", str(processes)))
    return sharing.times(processes)
