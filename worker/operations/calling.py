"""What the commands that talk to a worker have in common: where the broker is, and what each failure means.

Every failure becomes one sentence and an exit code; none shows a traceback or a password.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any, NoReturn

import typer
from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ConnectionClosed,
    InvalidFrameError,
    ProbableAuthenticationError,
)
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from rich.console import Console
from rich.markup import escape

from contracts.client import (
    ClientError,
    CommandDeadLetteredError,
    CommandRejectedError,
    NotConfirmedError,
    NotPreparedError,
    OutcomeTimeoutError,
    QueryFailedError,
)
from contracts.envelope import UUID_PATTERN
from worker import tls
from worker.errors import ExitCode, RefuseToStartError
from worker.settings import amqp_url

_PLAINLY = {
    "missing": "is missing",
    "extra_forbidden": "is no field of it",
    "union_tag_not_found": "needs an op: create, update or delete",
}
_QUERY_CODES = {
    "timeout": ExitCode.UNREACHABLE,
    "unavailable": ExitCode.UNREACHABLE,
    "unprepared": ExitCode.UNPREPARED,
}


def _url(value: str) -> str:
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # what it would say is said in a sentence
    try:
        return amqp_url(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


RabbitmqUrl = Annotated[
    str, typer.Option(envvar="HEROES_RABBITMQ_URL", help="Where RabbitMQ is.", callback=_url, show_default=False)
]
Timeout = Annotated[float, typer.Option("--timeout-seconds", min=0.1, help="How long to wait for the answer.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as it is on the wire.")]


class OutputError(Exception):
    """Nobody reads what is printed any more (`| head` has enough, say), or there is no room for it."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(f"the output can't be written: {cause.strerror or cause}")
        self.exit_code = ExitCode.UNREAD if isinstance(cause, BrokenPipeError) else ExitCode.UNWRITABLE


class _Console(Console):
    def print(self, *objects: Any, **options: Any) -> None:
        try:
            super().print(*objects, **options)
        except OSError as error:  # else it would be taken for the broker's
            raise OutputError(error) from None

    def on_broken_pipe(self) -> NoReturn:
        """Not rich's own way: to leave from inside the event loop ends in a traceback, and skips what tidies up."""
        raise OutputError(BrokenPipeError())


def console(*, stderr: bool = False) -> Console:
    """Prints text as it is: nothing in it is markup, and no line is broken."""
    return _Console(stderr=stderr, soft_wrap=True, emoji=False, highlight=False)


def echo(text: str | bytes) -> None:
    """Prints what a program reads. Raises: OutputError."""
    try:
        typer.echo(text)
    except OSError as error:  # as above
        raise OutputError(error) from None


def tell(sentence: str) -> None:
    """Prints it to standard error; where nobody takes it, what was done still counts, with its exit code."""
    with suppress(OutputError):
        console(stderr=True).print(sentence)


def failed(message: str, code: ExitCode) -> typer.Exit:
    """The sentence is shown; raise what comes back."""
    tell(f"[red]{escape(message)}[/]")
    return typer.Exit(code)


def mistakes(error: ValidationError) -> list[str]:
    """A line for each: where it is, and what is wrong there."""
    return [_mistake(item) for item in error.errors(include_url=False, include_input=False)]


def _mistake(item: ErrorDetails) -> str:
    where = ".".join(str(part) for part in item["loc"] if part != "")
    told = _PLAINLY.get(item["type"], item["msg"].removeprefix("Value error, "))
    if item.get("ctx", {}).get("pattern") == UUID_PATTERN:
        told = "should be a UUID in lower-case letters, like 3f0e4ac2-9d0f-4b52-8a0e-0c9c2f6f8a11"
    return f"{where}: {told}" if where else told


@contextmanager
def explained() -> Iterator[None]:
    """What goes wrong in the block ends the program with a sentence and an exit code."""
    try:
        yield
    except ValidationError as error:
        raise failed("\n".join(mistakes(error)), ExitCode.USAGE) from None
    except RefuseToStartError as refusal:
        raise failed(str(refusal), refusal.exit_code) from None
    except (CommandRejectedError, CommandDeadLetteredError) as no:
        raise failed(str(no), ExitCode.REFUSED) from None
    except QueryFailedError as no:
        raise failed(str(no), _QUERY_CODES.get(no.code, ExitCode.REFUSED)) from None
    except (NotConfirmedError, OutcomeTimeoutError) as error:
        is_unprepared = isinstance(error, NotPreparedError)
        raise failed(str(error), ExitCode.UNPREPARED if is_unprepared else ExitCode.UNREACHABLE) from None
    except ClientError as error:
        raise failed(str(error), ExitCode.UNPREPARED) from None
    except (AuthenticationError, ProbableAuthenticationError, ConnectionClosed, InvalidFrameError):
        message = "RabbitMQ refuses this user, password or virtual host: check HEROES_RABBITMQ_URL"
        raise failed(message, ExitCode.USAGE) from None
    except (AMQPError, OSError) as error:
        if refused := tls.refusal(error, "HEROES_RABBITMQ_URL", "RabbitMQ", tls.AMQP):
            raise failed(str(refused), refused.exit_code) from None
        message = (
            f"RabbitMQ can't be reached ({type(error).__name__}): is it running, and is HEROES_RABBITMQ_URL right?"
        )
        raise failed(message, ExitCode.UNREACHABLE) from None
