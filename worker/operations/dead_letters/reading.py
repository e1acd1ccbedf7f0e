"""Opens the dead letters for one command line, and says which of them it is about."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.text import Text

from worker.errors import ExitCode, SettingsError
from worker.messaging import guard
from worker.messaging.connection import connected
from worker.messaging.letter import DeadLetter, LetterReader
from worker.messaging.letterbox import Letterbox, opened
from worker.operations.calling import console, failed, tell
from worker.settings import Settings

_CONNECT_WITHIN_SECONDS = 5

MaybeName = Annotated[
    str | None, typer.Argument(metavar="[ID]", help="The letter's id, as list --ids shows it.", show_default=False)
]
OfReason = Annotated[str | None, typer.Option("--reason", help="Those set aside for this reason.")]
OfType = Annotated[str | None, typer.Option("--type", help="Those of this type of command.")]
Everything = Annotated[bool, typer.Option("--all", help="All of them.")]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters are meant; what is None does not matter."""

    name: str | None = None
    reason: str | None = None
    type: str | None = None

    def matches(self, letter: DeadLetter) -> bool:
        """This one is."""
        return (
            (self.name is None or letter.is_called(self.name))
            and self.reason in {None, letter.reason}
            and self.type in {None, letter.type}
        )


def selected(name: str | None, reason: str | None, kind: str | None, *, everything: bool = False) -> Selection:
    """What the command line asks for.

    Raises:
        SettingsError: nothing at all, or all and not all.
    """
    some = any(given is not None for given in (name, reason, kind))
    if some == everything:
        raise SettingsError("say which letters: an ID, --reason, --type (or both), or --all")
    return Selection(name, reason, kind)


@dataclass(frozen=True, slots=True)
class Opened:
    """The letters of one broker, on one connection."""

    box: Letterbox
    connection: Any
    reader: LetterReader

    def take(self, selection: Selection) -> AsyncIterator[DeadLetter]:
        """The letters that are meant, oldest first; of the others nothing is kept."""

        def look(message: Any) -> DeadLetter | None:
            letter = self.reader.read(message)
            return letter if selection.matches(letter) else None

        return self.box.take(look)

    async def fold(self, add: Callable[[DeadLetter], object]) -> None:
        """Every letter is shown to `add` once; none is kept here."""
        async for _ in self.box.take(lambda message: add(self.reader.read(message)) and None):
            pass

    def tell_unseen(self) -> None:
        """Somebody else may hold some of them just now: that is no empty queue."""
        if unseen := self.box.letters - self.box.looked_at:
            tell(f"[yellow]{unseen} letters were not seen: somebody else holds them just now[/]")


@asynccontextmanager
async def letters_at(rabbitmq_url: str, *, max_body_bytes: int | None = None) -> AsyncIterator[Opened]:
    """The letters can be taken; after the block all that were not removed are back, in order.

    Raises:
        RefuseToStartError: the broker is away, refuses this user, or has no such queue.
    """
    guard.install()
    limit = max_body_bytes or Settings.model_fields["max_body_bytes"].default
    async with (
        connected(rabbitmq_url, within_seconds=_CONNECT_WITHIN_SECONDS) as connection,
        opened(connection) as box,
    ):
        found = Opened(box, connection, LetterReader(limit))
        yield found
        found.tell_unseen()


def nothing_found(selection: Selection) -> typer.Exit:
    """Said; raise what comes back."""
    if selection.name is None:
        console().print("no letter matches")
        return typer.Exit(ExitCode.DONE)
    return failed(f"no dead letter is called {selection.name}: heroes dead-letters list --ids", ExitCode.REFUSED)


def plain(text: str) -> Text:
    """As it is, but for what would do something to a terminal."""
    return Text("".join(one if one.isprintable() or one == "\n" else repr(one)[1:-1] for one in text))
