"""What docs/wire.md says is so: its test vectors, its examples, its types, codes and reasons."""

import json
import re
from pathlib import Path
from typing import Any, get_args
from zlib import crc32

import pytest

from contracts.batch import BatchHeroes, BatchReply
from contracts.channels import slot
from contracts.envelope import Command, Envelope
from contracts.heroes import COMMANDS, AnyEvent
from contracts.queries import QUERIES, AnyReply
from worker.messaging.decode import Decoder
from worker.ours import OURS
from worker.outcomes import Reason

TEXT = (Path(__file__).parents[2] / "docs" / "wire.md").read_text()
EXAMPLES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]
SLOTS_OF_EXAMPLES = ("08", "06")


def documented_slots() -> dict[str, str]:
    """The 20 test vectors for publishers in other languages."""
    found = dict(re.findall(r"\| `([0-9a-f-]+)` \| (\d\d) (?=\|)", TEXT))
    assert len(found) == 20
    return found


def types_of(shapes: Any) -> set[str]:
    """The type names of a union of messages, or of several."""
    union = get_args(get_args(shapes)[0]) if get_args(shapes) else shapes
    return {kind for shape in union for kind in get_args(shape.model_fields["type"].annotation)}


def test_its_test_vectors_are_right() -> None:
    for key, expected in documented_slots().items():
        assert f"{crc32(key.encode()) % 16:02d}" == expected == slot(key), key


@pytest.mark.parametrize(("example", "slot_of_it"), list(zip(EXAMPLES, SLOTS_OF_EXAMPLES, strict=True)))
def test_its_examples_are_commands_for_the_slots_that_it_names(example: dict[str, Any], slot_of_it: str) -> None:
    decoded = Decoder(OURS.commands, 1_000_000).decode(json.dumps(example).encode(), None)
    assert isinstance(decoded, Command)
    assert decoded.routing_key == slot_of_it


def test_it_names_every_type_reason_and_attribute() -> None:
    types = types_of((*COMMANDS, BatchHeroes, *QUERIES, BatchReply)) | types_of(AnyEvent) | types_of(AnyReply)
    names = types | set(Reason) | set(Envelope.model_fields) | {"expirytime", "causationid", "subject"}
    assert not {name for name in names if f"`{name}`" not in TEXT}
