"""Sets up what the worker writes: one line for each thing worth knowing, as JSON for machines or in colour for people.

Neither bodies nor passwords ever reach a line: no logger is given one.
"""

import logging
import sys
from contextvars import ContextVar

import structlog
from structlog.typing import EventDict, Processor

from worker.outcomes import Traits, trace_id

# What others put on a record stays out: it may be anything.
_EXTRA = ("settlement", "seconds", "queue", "detail", "letter")


# As all context: it belongs to a task, and ends with it.
_PRESENT: ContextVar[tuple[Traits, str | None] | None] = ContextVar("present command", default=None)


def configure_logging(log_format: str, log_level: str) -> None:
    """Every logger of the process writes to standard error in this format."""
    shared: list[Processor] = [
        _naming_the_command,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(_EXTRA),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor]
    # A frame's local variables may hold a password or a secret name.
    without_locals = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    if log_format == "json":
        last = [structlog.processors.ExceptionRenderer(without_locals), structlog.processors.JSONRenderer()]
    else:
        plain = structlog.dev.plain_traceback
        last = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
        )
    )
    handler.addFilter(_without_messages)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(log_level)
    for noisy in ("alembic", "uvicorn", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(log_level)))
    # Whoever connects says it in a sentence, once; they would say it each second, for each connection and channel.
    for flooding in ("aiormq.connection", "aio_pika"):
        logging.getLogger(flooding).setLevel(logging.CRITICAL)
    logging.getLogger("aiormq").setLevel(logging.ERROR)


def lines_are_about(traits: Traits, trace: str | None) -> None:
    """Every line that this task writes from now on names this command; by this trace, or by its own."""
    _PRESENT.set((traits, trace))


def _naming_the_command(_: object, __: str, line: EventDict) -> EventDict:
    if (present := _PRESENT.get()) is None:
        return line
    traits, trace = present
    names = {
        "command_id": traits.command_id,
        "command_type": traits.type,
        "correlation_id": traits.correlation_id or traits.command_id,
        "trace_id": trace or trace_id(traits.traceparent),
    }
    line.update({name: value for name, value in names.items() if value is not None})
    return line


def _without_messages(record: logging.LogRecord) -> bool:
    """The AMQP client logs a message that came back unexpectedly as a whole, body and all."""
    if isinstance(record.args, tuple):
        hidden = ("a message" if type(item).__name__ == "DeliveredMessage" else item for item in record.args)
        record.args = tuple(hidden)
    return True
