"""Who takes part: ours in several settings, the hand-written limit, and the peers with what each leaves out.

Invariant: a peer runs as its own documentation shows; its name or its file tells what else is set (processes, threads,
prefetch, pool), so that both cores are used and nobody waits for a connection.
"""

from benchmarks.contestants import HAND_WRITTEN, WORKER, Contestant

_ORM = ("-m", "benchmarks.peers.faststream_orm")
_NO_INBOX = "inbox, event, order"
_SIGTERM = -15

TEXTBOOK = Contestant(
    "textbook FastStream + ORM",
    (*_ORM, "work"),
    fill=(*_ORM, "fill"),
    needs=("faststream",),
    leaves_out="inbox, order, retries; its event is confirmed but not persistent",
)
CELERY = Contestant(
    "celery, 2 processes",
    ("-m", "celery", "-A", "benchmarks.peers.celery_orm", "worker", "-c", "2", "-l", "WARNING"),
    fill=("-m", "benchmarks.peers.celery_orm", "fill"),
    needs=("celery", "psycopg"),
    leaves_out=f"{_NO_INBOX}, and it acknowledges before the work",
)
DRAMATIQ = Contestant(
    "dramatiq, 2 x 4 threads",
    ("-m", "dramatiq", "benchmarks.peers.dramatiq_orm", "-p", "2", "-t", "4"),
    fill=("-m", "benchmarks.peers.dramatiq_orm", "fill"),
    needs=("dramatiq", "pika", "psycopg"),
    leaves_out=_NO_INBOX,
)
TASKIQ = Contestant(
    "taskiq, 2 processes",
    ("-m", "taskiq", "worker", "benchmarks.peers.taskiq_orm:broker", "-w", "2", "--log-level", "WARNING"),
    fill=("-m", "benchmarks.peers.taskiq_orm", "fill"),
    needs=("taskiq", "taskiq_aio_pika"),
    leaves_out=_NO_INBOX,
)
PEERS = (CELERY, TASKIQ, DRAMATIQ, TEXTBOOK)

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
