"""`heroes send batch FILE`: sends many operations, a thousand at a time, and shows how far it has come.

Each group takes effect as a whole or not at all, and its id is made of its place and its content: the same file sent
again, after whatever interruption, changes nothing twice.
"""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated
from uuid import NAMESPACE_URL, uuid4, uuid5

import typer
from pydantic import TypeAdapter, ValidationError
from rich.progress import Progress

from contracts.batch import Operation
from contracts.client import CommandDeadLetteredError, CommandRejectedError, HeroesClient
from worker.errors import ExitCode
from worker.operations.calling import RabbitmqUrl, Timeout, console, explained, failed, mistakes

_AT_ONCE = 1000
_OPERATION: TypeAdapter[Operation] = TypeAdapter(Operation)

_File = Annotated[Path, typer.Argument(help="One JSON operation a line; - for standard input.", show_default=False)]
_Again = Annotated[bool, typer.Option("--again", help="Do it once more, even if this very file was sent before.")]
_Size = Annotated[
    int,
    typer.Option(
        "--size",
        min=1,
        max=_AT_ONCE,
        help="Operations that take effect together, all or none. With another size the file is another one.",
    ),
]


def send_batch(
    file: _File,
    rabbitmq_url: RabbitmqUrl,
    size: _Size = _AT_ONCE,
    again: _Again = False,
    timeout_seconds: Timeout = 60,
) -> None:
    """Send operations like {"op": "create", "name": …, "secret_name": …}, {"op": "delete", "hero_id": 7},
    {"op": "update", "hero_id": 7, "changes": {"age": 31}}.
    """
    salt = str(uuid4()) if again else ""
    with explained():
        text = sys.stdin.read() if str(file) == "-" else _read(file)
        groups = list(_groups(_operations(text), size))
        done = asyncio.run(_send(rabbitmq_url, groups, timeout_seconds, salt))
    told = "now, or when this very file was sent before; --again repeats them"
    console().print(f"[green]✓[/] {done} operations have taken effect [dim]({told})[/]")


async def _send(url: str, groups: Sequence[Sequence[Operation]], timeout_seconds: float, salt: str) -> int:
    done = 0
    with Progress(console=console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("operations", total=sum(map(len, groups)))
        async with HeroesClient(url, timeout_seconds=timeout_seconds) as client:
            for group in groups:
                try:
                    await client.batch(group, id=_id(f"{salt}{done}", group))
                except (CommandRejectedError, CommandDeadLetteredError) as no:
                    index = (getattr(no, "operation", None) or 0) + done + 1
                    before = f"the first {done} operations took effect" if done else "nothing took effect"
                    told = f"operation {index}: {no}; {before}: mend it and send the file again"
                    raise failed(told, ExitCode.REFUSED) from None
                done += len(group)
                progress.advance(task, len(group))
    return done


def _operations(text: str) -> list[Operation]:
    """One from each line that is not empty; one that is wrong is named by its line, and nothing is sent."""
    found: list[Operation] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                found.append(_OPERATION.validate_json(line))
            except ValidationError as error:
                raise failed(f"line {number}: {mistakes(error)[0]}", ExitCode.USAGE) from None
    if not found:
        raise failed("there is no operation in it: write one JSON object a line", ExitCode.USAGE)
    return found


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise failed(f"{file} can't be read: {error.strerror}", ExitCode.USAGE) from None
    except UnicodeDecodeError:
        raise failed(f"{file} can't be read: it is no UTF-8 text", ExitCode.USAGE) from None


def _groups(operations: Sequence[Operation], size: int) -> Iterator[Sequence[Operation]]:
    for start in range(0, len(operations), size):
        yield operations[start : start + size]


def _id(start: str, group: Sequence[Operation]) -> str:
    content = "\n".join(operation.model_dump_json(exclude_unset=True) for operation in group)
    return str(uuid5(NAMESPACE_URL, f"{start}/{sha256(content.encode()).hexdigest()}"))
