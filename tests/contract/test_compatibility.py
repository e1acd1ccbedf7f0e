"""The check catches each kind of breaking change, tells which and what to do, and lets every harmless one pass."""

import json
from pathlib import Path
from typing import Any

import pytest

from contracts import compatibility
from contracts.compatibility import PRESENT, RELEASED, breaks
from contracts.fitting import Fitting
from tests.contract.changes import BREAKING, HARMLESS
from tests.contract.changing import at, changed, many, without
from tests.contract.documents import asyncapi, read


def test_the_contract_is_compatible_with_the_last_release() -> None:
    """The check itself: it stands in the test suite, so nothing is merged past it."""
    found = breaks(read(RELEASED), read(PRESENT))
    assert not found, compatibility.told(found)


@pytest.mark.parametrize("what", BREAKING)
def test_a_breaking_change_is_named(what: str) -> None:
    change, expected = BREAKING[what]
    found = [str(one) for one in breaks(asyncapi(), changed(change))]
    assert any(expected in one for one in found), found


@pytest.mark.parametrize("what", HARMLESS)
def test_a_harmless_change_passes(what: str) -> None:
    assert breaks(asyncapi(), changed(HARMLESS[what])) == []


def test_a_message_says_what_to_do() -> None:
    found = breaks(
        asyncapi(), changed(many(BREAKING["a text must be shorter"][0], BREAKING["a text must be longer"][0]))
    )
    assert compatibility.told(found) == (
        "hero.create: data.name maxLength was 200, is 100\n"
        "hero.create: data.name minLength was 1, is 2\n"
        "    give the new shape a new name: hero.create.v2; both are handled for one release"
    )


def test_the_successor_of_a_second_version_is_the_third() -> None:
    assert "hero.create.v3;" in compatibility._successor("hero.create.v2")


def test_a_type_may_go_when_the_last_release_marked_it_as_deprecated() -> None:
    released = changed(at("DeleteHero", deprecated=True))
    present = changed(at("DeleteHero", deprecated=True))
    del present["components"]["messages"]["hero.delete"]
    del present["channels"]["heroes.commands"]["messages"]["hero.delete"]
    assert breaks(released, present) == []
    assert breaks(asyncapi(), present)


@pytest.mark.parametrize(
    "schema",
    [{"not": {}}, {"allOf": [{"type": "string"}, {"minLength": 1}]}, {"anyOf": [{"maximum": 1}], "maximum": 2}],
)
def test_what_the_check_can_not_compare_is_an_error_and_no_pass(schema: Any) -> None:
    with pytest.raises(ValueError, match="teach it to"):
        list(Fitting(True, {}, {}).misfits(schema, schema))


def test_the_command_prints_every_break_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    present = tmp_path / "present.json"
    present.write_text(json.dumps(changed(without("Hero", "age"))))
    assert compatibility.main(RELEASED, present) == 1
    assert capsys.readouterr().out.startswith(
        "breaks what 0.1.0 promised:\n"
        "hero.created: data.hero.age is gone\n"
        "    give the new shape a new name: hero.created.v2; both are handled for one release\n"
    )


def test_the_command_is_content_with_the_present_contract(capsys: pytest.CaptureFixture[str]) -> None:
    assert compatibility.main() == 0
    assert capsys.readouterr().out == "compatible with 0.1.0\n"
