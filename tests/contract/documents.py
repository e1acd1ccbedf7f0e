"""The contract files and kept messages, as the tests of this folder read them."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator, Draft202012Validator

from contracts.catalogue import TYPES, MessageType
from contracts.envelope import instant
from contracts.generate import HERE, SCHEMAS

GOLDEN = Path(__file__).parent / "golden"
OFFICIAL = Path(__file__).parent / "official" / "asyncapi-3.0.0.json"
BY_NAME: dict[str, MessageType] = {one.name: one for one in TYPES}


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def asyncapi() -> Any:
    """The committed document, a fresh copy each time."""
    return read(HERE / "asyncapi.json")


def schema_file(name: str) -> Draft202012Validator:
    """Validates messages by the committed schema of one type."""
    return Draft202012Validator(read(SCHEMAS / f"{name}.json"))


def inside(document: Any, schema: Any) -> Draft7Validator:
    """Validates by a schema of the document, whose references are found in it."""
    if "$ref" in schema:  # draft 7 overlooks what stands beside a reference, so this one is followed here
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return Draft7Validator({**schema, "components": document["components"]})


def golden_files() -> list[Path]:
    return sorted(GOLDEN.glob("*/*.json"))


def meaning(value: Any) -> Any:
    """The same, with moments instead of their texts: `12:00:00.000000Z` is `12:00:00Z`."""
    if isinstance(value, list):
        return [meaning(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {key: instant(one) if key.endswith("_at") else meaning(one) for key, one in value.items()}
