"""Bodies as any publisher may write them, and what the worker's decoder makes of them: a command or a reason."""

import json
from typing import Any

from contracts.envelope import Command
from contracts.heroes import COMMANDS
from tests.harness.commands import ID
from worker.messaging.decode import Decoder, Undecodable
from worker.messaging.publisher import as_message
from worker.outcomes import Reason

MAX_BODY_BYTES = 64 * 1024
DETAIL_BYTES = 2000
MARKER = "Zx9-marker-Qk7"
DECODER = Decoder(COMMANDS, MAX_BODY_BYTES)


def sample(kind: str = "hero.create", **more: Any) -> dict[str, Any]:
    """A valid command of this type as a plain document; `more` replaces and adds, right or wrong."""
    samples: dict[str, dict[str, Any]] = {
        "hero.create": {"name": MARKER, "secret_name": MARKER, "age": 7},
        "hero.update": {"hero_id": 5, "changes": {"name": MARKER, "secret_name": MARKER}, "expected_version": 2},
        "hero.delete": {"hero_id": 5, "expected_version": 2},
    }
    return {"specversion": "1.0", "id": ID, "source": "/tests", "type": kind, "data": samples[kind], **more}


def written(document: object) -> bytes:
    """With NaN, lone surrogates and the largest integers as a careless publisher would write them."""
    text = json.dumps(document, ensure_ascii=False).replace('"<huge>"', "9" * 5000)
    return text.encode("utf-8", "surrogatepass")


def refused(body: bytes | dict[str, Any], content_type: str | None = None) -> Undecodable:
    """It is no command, for a reason that is told in few words."""
    content = DECODER.decode(body if isinstance(body, bytes) else written(body), content_type)
    assert isinstance(content, Undecodable)
    assert content.letter.reason in {Reason.INVALID_COMMAND, Reason.UNKNOWN_TYPE}
    assert 0 < len(content.letter.detail.encode()) <= DETAIL_BYTES
    return content


def taken(body: bytes | dict[str, Any], content_type: str | None = None) -> Command:
    """It is a command."""
    content = DECODER.decode(body if isinstance(body, bytes) else written(body), content_type)
    assert isinstance(content, Command), content
    return content


def sound(body: bytes, content_type: str | None) -> None:
    """Everything that holds for any message at all."""
    content = DECODER.decode(body, content_type)
    if isinstance(content, Command):
        assert DECODER.decode(content.to_json(), content_type) == content
        return
    assert isinstance(content, Undecodable)
    refused(body, content_type)
    again = DECODER.decode(body, content_type)
    assert isinstance(again, Undecodable)
    first, second = content.outcome(), again.outcome()
    assert [event.body for event in first.events] == [event.body for event in second.events]
    assert bool(first.events) == (content.traits.command_id is not None)
    for event in first.events:
        as_message(event).properties.marshal()  # what can't be written would be published again for ever
