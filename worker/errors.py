"""The errors that carry a decision: whoever catches one knows what the broker, or the operator, hears next.

Anything outside this tree that a handler raises is a bug and is counted as an attempt, unless it is the database's.
"""

import traceback
from collections.abc import Awaitable, Callable
from enum import IntEnum
from pathlib import Path

_SHOWN_FRAMES = 5


class ExitCode(IntEnum):
    """What the command line answers; scripts rely on the numbers."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    UNPREPARED = 4
    UNWRITABLE = 74  # EX_IOERR of sysexits.h
    UNREAD = 141  # as a shell tells of a program that SIGPIPE has ended


class WorkerError(Exception):
    """Something that the worker knows how to answer."""


class StatementFailedError(WorkerError):
    """A live database server refused this statement: an attempt is spent, and the command is tried again."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(f"the database answered with SQLSTATE {sqlstate}")
        self.sqlstate = sqlstate


class UnavailableError(WorkerError):
    """A service can't be used just now. No attempt is spent: the command waits where it is."""


class DatabaseUnavailableError(UnavailableError):
    """The database can't be used just now."""


class PublishNotConfirmedError(UnavailableError):
    """The broker did not confirm a publication in time: it may or may not have taken it."""


class HeldBackError(WorkerError):
    """Too many events are owed to apply one more command. Nothing was begun and no attempt is spent."""

    def __init__(self, room: Callable[[], Awaitable[object]]) -> None:
        super().__init__("too many events wait for the broker's word")
        self.room = room
        """Wait for it, then try again."""


def in_words(error: BaseException) -> str:
    """What went wrong, for a person: our own errors say it themselves, others' texts may hold anything."""
    if isinstance(error, WorkerError):
        return str(error)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: is it running?"
    return type(error).__name__


def in_code(error: BaseException, causes: int = 3) -> str:
    """Where it went wrong, for who mends it: the error's type and the lines of code on its way, innermost last. Not its
    text, which may quote values of fields.
    """
    frames = traceback.extract_tb(error.__traceback__, limit=-_SHOWN_FRAMES)
    lines = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
    cause = error.__cause__ or error.__context__
    return f"{type(error).__name__} at {' > '.join(lines)}" + (
        f", from {in_code(cause, causes - 1)}" if cause and causes else ""
    )


class RefuseToStartError(WorkerError):
    """The worker can't run like this: what is wrong, and what mends it."""

    exit_code = ExitCode.UNPREPARED

    def __init__(self, wrong: str, do: str = "") -> None:
        super().__init__(f"{wrong}: {do}" if do else wrong)
        self.wrong = wrong
        self.do = do


class SettingsError(RefuseToStartError):
    """A setting is missing or wrong."""

    exit_code = ExitCode.USAGE


class UnreachableError(RefuseToStartError):
    """A service that the worker needs did not answer."""

    exit_code = ExitCode.UNREACHABLE


class TopologyError(RefuseToStartError):
    """An exchange, queue or binding is missing or not as it should be."""


class SchemaError(RefuseToStartError):
    """The database's tables are missing or older than this worker."""
