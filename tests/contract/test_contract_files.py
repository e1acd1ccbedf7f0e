"""The committed schema files are what the models say: each takes its own messages and no others."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from contracts import generate
from contracts.catalogue import TYPES, Kind
from contracts.envelope import Envelope
from tests.contract.documents import asyncapi, meaning, read, schema_file

ROOT = Path(__file__).parents[2]
MESSAGES: dict[str, Any] = asyncapi()["components"]["messages"]


def concrete(model: type[Envelope]) -> list[type[Envelope]]:
    below = [one for each in model.__subclasses__() for one in concrete(each)]
    has_a_type = "Literal" in str(model.model_fields["type"].annotation)
    return [model, *below] if has_a_type and model.__module__.startswith("contracts.") else below


def test_the_files_are_what_the_models_say() -> None:
    wanted = generate.files()
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    leftover = generate.present() - wanted.keys()
    names = sorted(str(path.relative_to(ROOT)) for path in {*stale, *leftover})
    assert not names, f"run `{generate.COMMAND}` and commit what it changes: {', '.join(names)}"


def test_the_same_models_give_the_same_bytes() -> None:
    assert generate.files() == generate.files()


def test_generating_mends_whatever_stands_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, changed and left over: afterwards everything is right, and a second run has nothing to do."""
    monkeypatch.setattr(generate, "HERE", tmp_path)
    monkeypatch.setattr(generate, "SCHEMAS", tmp_path / "schemas")
    assert len(generate.write()) == len(TYPES) + 1
    (tmp_path / "schemas" / "hero.exploded.json").write_text("{}")
    (tmp_path / "asyncapi.json").write_text("{}")
    assert {path.name for path in generate.write()} == {"hero.exploded.json", "asyncapi.json"}
    assert generate.write() == []


def test_every_message_model_is_in_the_catalogue() -> None:
    assert set(concrete(Envelope)) == {one.model for one in TYPES}


@pytest.mark.parametrize("name", [one.name for one in TYPES])
def test_a_schema_file_is_a_json_schema(name: str) -> None:
    Draft202012Validator.check_schema(read(generate.SCHEMAS / f"{name}.json"))


@pytest.mark.parametrize("one", TYPES, ids=lambda one: one.name)
def test_an_example_is_valid_by_its_schema_file_and_by_its_model_and_by_no_other(one: Any) -> None:
    (example,) = MESSAGES[one.name]["examples"]
    parsed = one.model.model_validate_json(json.dumps(example["payload"]))
    assert meaning(json.loads(parsed.to_json())) == meaning(example["payload"])
    takers = [other.name for other in TYPES if schema_file(other.name).is_valid(example["payload"])]
    assert takers == [one.name]


def test_no_event_has_a_place_for_the_secret_name() -> None:
    """Replies do: they go to the one who asked."""
    for one in TYPES:
        if one.kind is Kind.EVENT:
            assert "secret_name" not in (generate.SCHEMAS / f"{one.name}.json").read_text()
