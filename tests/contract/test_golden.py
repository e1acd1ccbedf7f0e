"""Messages that were right once are right for ever: today's models parse every kept one and write the same again."""

import json
from pathlib import Path

import pytest

from contracts.catalogue import TYPES
from tests.contract.documents import BY_NAME, GOLDEN, golden_files, meaning, read, schema_file


def _id(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", golden_files(), ids=_id)
def test_a_kept_message_is_parsed_and_written_with_the_same_meaning(path: Path) -> None:
    kind = BY_NAME[path.parent.name]
    body = path.read_bytes()
    parsed = kind.model.model_validate_json(body)
    assert meaning(json.loads(parsed.to_json())) == meaning(json.loads(body))
    assert kind.model.model_validate_json(parsed.to_json()) == parsed


@pytest.mark.parametrize("path", golden_files(), ids=_id)
def test_a_kept_message_is_valid_by_its_schema_file(path: Path) -> None:
    schema_file(path.parent.name).validate(read(path))


@pytest.mark.parametrize("name", [one.name for one in TYPES])
def test_every_type_has_kept_messages(name: str) -> None:
    kept = {path.stem for path in (GOLDEN / name).glob("*.json")}
    assert {"minimal", "full", "extreme"} <= kept, (
        f"add tests/contract/golden/{name}/minimal.json, full.json, extreme.json"
    )


def test_no_kept_message_is_of_a_type_that_nobody_knows() -> None:
    assert {path.parent.name for path in golden_files()} <= BY_NAME.keys()
