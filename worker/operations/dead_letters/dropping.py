"""`heroes dead-letters drop`: removes letters for good, and writes down which, why and by whom before.

The line in the log is on the disk before the letter goes; a letter dropped twice by a crash in between has two lines.
"""

import asyncio
import errno
import getpass
import os
import socket
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from worker.errors import ExitCode, SettingsError
from worker.messaging.letter import DeadLetter
from worker.operations.calling import RabbitmqUrl, console, explained
from worker.operations.dead_letters.reading import (
    Everything,
    MaybeName,
    OfReason,
    OfType,
    Opened,
    Selection,
    letters_at,
    nothing_found,
    selected,
)
from worker.operations.dead_letters.showing import shown_headers
from worker.ours import OURS

_LOG = Path("heroes-dropped.jsonl")

_Why = Annotated[str, typer.Option("--why", help="The reason, for the log.", show_default=False)]
_Yes = Annotated[bool, typer.Option("--yes", help="Also more than one.")]
_LogFile = Annotated[Path, typer.Option("--log", help="Where each dropped letter is written down, without its body.")]


class DropLog:
    """A file of JSON lines that only ever grows."""

    def __init__(self, path: Path, why: str) -> None:
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise SettingsError(f"--log {path} can't be written: {error.strerror}") from None
        self._path = path
        self._why = why
        self._who = f"{getpass.getuser()}@{socket.gethostname()}"

    def write(self, letter: DeadLetter) -> None:
        """The line is on the disk.

        Raises:
            SettingsError: it is not, or not all of it; then the letter must stay.
        """
        line: dict[str, Any] = {
            "dropped_at": datetime.now(UTC),
            "id": letter.id,
            "type": letter.type,
            "reason": letter.reason,
            "why": self._why,
            "who": self._who,
            "sha256": letter.body_sha256,
            "headers": shown_headers(letter, OURS.secret_fields),
        }
        written = orjson.dumps(line, default=repr, option=orjson.OPT_NON_STR_KEYS) + b"\n"
        try:
            if os.write(self._file, written) < len(written):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301 - told as the others are
            os.fsync(self._file)
        except OSError as error:
            raise SettingsError(f"--log {self._path} can't be written: {error.strerror}") from None

    def close(self) -> None:
        """No line can be written any more."""
        os.close(self._file)


def drop(  # noqa: PLR0913, PLR0917 - each parameter is an option of the command line
    rabbitmq_url: RabbitmqUrl,
    why: _Why,
    name: MaybeName = None,
    reason: OfReason = None,
    kind: OfType = None,
    everything: Everything = False,
    yes: _Yes = False,
    log: _LogFile = _LOG,
) -> None:
    """Remove letters for good. Each is written down in a log first, with the reason for it and without its body."""
    with explained():
        selection = selected(name, reason, kind, everything=everything)
        if not why.strip():
            raise SettingsError("--why: say why it may be dropped")
        with closing(DropLog(log, why)) as book:
            dropped = asyncio.run(_drop(rabbitmq_url, selection, book, more_than_one=yes))
        if not dropped:
            raise nothing_found(selection)
    console().print(f"[green]✓[/] {dropped} dropped and written to {log}", markup=True)
    raise typer.Exit(ExitCode.DONE)


async def _drop(rabbitmq_url: str, selection: Selection, book: DropLog, *, more_than_one: bool) -> int:
    dropped = 0
    async with letters_at(rabbitmq_url) as opened:
        if not more_than_one:
            return await _drop_the_only_one(opened, selection, book)
        async for letter in opened.take(selection):
            book.write(letter)
            await opened.box.remove(letter.message)
            dropped += 1
    return dropped


async def _drop_the_only_one(opened: Opened, selection: Selection, book: DropLog) -> int:
    """Nothing is dropped before it is known that there is no other."""
    only: DeadLetter | None = None
    async for letter in opened.take(selection):
        if only is not None:
            raise SettingsError("more than one letter would be dropped: look at them with list, then add --yes")
        only = letter
    if only is None:
        return 0
    book.write(only)
    await opened.box.remove(only.message)
    return 1
