"""The AsyncAPI document is valid by the official schema, full of right examples, and tells the wire as it is."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match

from contracts import asyncapi as told
from contracts.catalogue import TYPES
from contracts.channels import COMMANDS, EVENTS, QUERIES, SLOTS, slot
from tests.contract.documents import OFFICIAL, asyncapi, inside, read
from worker.messaging.publisher import APP_ID
from worker.messaging.topology import exchanges, queues

ROOT = Path(__file__).parents[2]
MESSAGES: dict[str, Any] = asyncapi()["components"]["messages"]


def test_the_document_is_valid_by_the_official_schema() -> None:
    official = Draft7Validator(read(OFFICIAL))
    worst = best_match(official.iter_errors(asyncapi()))
    assert worst is None, f"{worst.json_path}: {worst.message}"


def test_the_official_schema_finds_what_is_wrong() -> None:
    """The positive control."""
    broken = asyncapi()
    broken["operations"]["send.events"]["action"] = "publish"
    assert not Draft7Validator(read(OFFICIAL)).is_valid(broken)


def references(value: Any) -> list[dict[str, str]]:
    """Everything that holds a `$ref`, with what stands beside it."""
    if isinstance(value, list):
        return [found for one in value for found in references(one)]
    if not isinstance(value, dict):
        return []
    return [value] if "$ref" in value else [found for one in value.values() for found in references(one)]


def test_every_reference_leads_somewhere_and_stands_alone() -> None:
    """What stands beside one is overlooked by those who follow the letter of the specification."""
    document = asyncapi()
    found = references(document)
    assert len(found) > len(TYPES)
    for reference in found:
        assert set(reference) == {"$ref"}
        place = document
        for key in reference["$ref"].removeprefix("#/").split("/"):
            place = place[key]


def test_keys_are_of_the_form_that_asyncapi_asks_for() -> None:
    document = asyncapi()
    keys = [key for group in document["components"].values() for key in group]
    keys += [*document["channels"], *document["operations"], *document["servers"]]
    assert [key for key in keys if not re.fullmatch(r"[a-zA-Z0-9._-]+", key)] == []


@pytest.mark.parametrize("name", MESSAGES)
def test_an_example_is_valid_by_its_own_schemas(name: str) -> None:
    document, message = asyncapi(), MESSAGES[name]
    assert message["examples"]
    for example in message["examples"]:
        inside(document, message["payload"]).validate(example["payload"])
        inside(document, message["headers"]).validate(example["headers"])


def test_the_slots_are_a_parameter() -> None:
    channel = asyncapi()["channels"][COMMANDS]
    assert channel["address"] == "{slot}"
    assert channel["parameters"]["slot"]["enum"] == [f"{number:02d}" for number in range(SLOTS)]
    assert f"Key `42` gives `{slot('42')}`" in channel["parameters"]["slot"]["description"]


def test_the_channels_are_what_setup_declares() -> None:
    """Names and kinds of exchanges and queues."""
    bindings = [channel["bindings"]["amqp"] for channel in asyncapi()["channels"].values()]
    told_exchanges = {(one["exchange"]["name"], one["exchange"]["type"]) for one in bindings if "exchange" in one}
    assert told_exchanges - {("", "default")} <= {(one.name, one.type) for one in exchanges()}
    assert {one["queue"]["name"] for one in bindings if "queue" in one} <= {one.name for one in queues(7)}


def test_the_worker_receives_what_others_send() -> None:
    """AsyncAPI 3.0 tells operations from the side of the application that the document describes."""
    actions = {(one["action"], one["channel"]["$ref"]) for one in asyncapi()["operations"].values()}
    assert {("receive", f"#/channels/{COMMANDS}"), ("receive", f"#/channels/{QUERIES}")} <= actions
    assert ("send", f"#/channels/{EVENTS}") in actions


def test_the_worker_calls_itself_what_the_document_says() -> None:
    headers = asyncapi()["components"]["schemas"]["event.headers"]["properties"]
    assert headers["app_id"]["const"] == APP_ID


def test_the_document_has_the_version_of_the_package() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert pyproject["project"]["version"] == told.VERSION
