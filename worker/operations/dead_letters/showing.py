"""`heroes dead-letters show`: one letter with everything on it, and what to do with it.

What the contract calls secret is shown only to who asks for it; so is a body that can't be read, as nobody knows what
stands in it.
"""

import asyncio
import json
from collections.abc import Collection
from contextlib import suppress
from typing import Annotated, Any

import typer
from rich.text import Text

from worker.messaging.letter import DeadLetter
from worker.operations.calling import AsJson, RabbitmqUrl, console, echo, explained, tell
from worker.operations.dead_letters.advice import advice
from worker.operations.dead_letters.listing import written
from worker.operations.dead_letters.reading import Selection, letters_at, nothing_found, plain
from worker.ours import OURS

MASK = "***"
_COUNTS = frozenset({"x-delivery-count", "x-acquired-count"})

_Name = Annotated[str, typer.Argument(metavar="ID", help="As list --ids shows it.", show_default=False)]
_Reveal = Annotated[bool, typer.Option("--reveal", help="Show what is secret, too.")]


def show(name: _Name, rabbitmq_url: RabbitmqUrl, reveal: _Reveal = False, as_json: AsJson = False) -> None:
    """Show one dead letter: why it is here, its headers, the command, and what to do. Takes nothing away."""
    selection = Selection(name)
    secrets = frozenset() if reveal else OURS.secret_fields

    async def find() -> list[dict[str, Any]]:
        async with letters_at(rabbitmq_url) as opened:
            return [described(letter, secrets, reveal=reveal) async for letter in opened.take(selection)]

    with explained():
        found = asyncio.run(find())
        if not found:
            raise nothing_found(selection)
    for description in found:
        _print(description, as_json=as_json)
    if len(found) > 1:
        tell(f"{len(found)} letters have this id")


def described(letter: DeadLetter, secrets: Collection[str], *, reveal: bool) -> dict[str, Any]:
    """Everything about a letter, as it may be shown."""
    return {
        "id": letter.id,
        "type": letter.type,
        "reason": letter.reason,
        "detail": letter.detail,
        "set_aside_at": written(letter.set_aside_at),
        "set_aside_by": "the broker" if letter.by_broker else str(letter.headers.get("x-worker", "")),
        "app_id": letter.app_id,
        "exchange": letter.exchange,
        "routing_key": letter.routing_key,
        "sha256": letter.body_sha256,
        "what_to_do": advice(letter.reason),
        "headers": shown_headers(letter, secrets),
        "body": _body(letter.body, secrets, reveal=reveal),
    }


def shown_headers(letter: DeadLetter, secrets: Collection[str]) -> dict[str, Any]:
    """The letter's headers without what is secret, and without the broker's count of who has looked at it."""
    shown: dict[str, Any] = masked(
        {name: value for name, value in letter.headers.items() if name not in _COUNTS}, secrets
    )
    return shown


def masked(value: Any, secrets: Collection[str]) -> Any:
    """The same without the values of secret fields, however deep they stand and however they are spelt."""
    if isinstance(value, dict):
        return {
            name: MASK if _plainly(name) in set(map(_plainly, secrets)) else masked(inner, secrets)
            for name, inner in value.items()
        }
    return [masked(inner, secrets) for inner in value] if isinstance(value, list) else value


def _plainly(name: str) -> str:
    return "".join(filter(str.isalnum, name)).casefold()


def _body(body: bytes, secrets: Collection[str], *, reveal: bool) -> Any:
    with suppress(ValueError, RecursionError):
        document = json.loads(body)
        if isinstance(document, dict):
            return masked(document, secrets)
    return body.decode(errors="backslashreplace") if reveal else f"{len(body)} bytes, no JSON object: --reveal shows it"


def _print(description: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        echo(json.dumps(description, default=str))
        return
    for name, value in description.items():
        told = json.dumps(value, indent=2, ensure_ascii=False, default=str) if isinstance(value, dict) else str(value)
        console().print(Text.assemble((f"{name.replace('_', ' '):<13}", "bold"), plain(told)))
