"""The contract alone makes, reads and checks every message, for those who know nothing of the worker."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from contracts.envelope import Command, Event
from contracts.heroes import AnyEvent, CreateHero, CreateHeroData, DeleteHero, UpdateHero, UpdateHeroData
from tests.harness.commands import ID, SOURCE, create, delete, update

ROOT = Path(__file__).parents[2]
EVENTS: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)

COMMANDS = [
    create(name="Ada", secret_name="s", age=3),
    create(name="Žofie 🐎 \\ \" ' \n", secret_name="\u2028", age=None),
    create(correlationid="c", traceparent="00-1-2-01", tracestate="a=b", expirytime="2030-01-01T00:00:00Z", id=ID),
    update(1, {"name": "n"}),
    update(2**63 - 1, {"age": None, "secret_name": "s"}, expected_version=2**31 - 1),
    delete(1),
    delete(7, expected_version=3, time="1999-12-31T23:59:59.5-11:30"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.type)
def test_a_command_survives_its_way_through_json(command: Command) -> None:
    again = type(command).model_validate_json(command.to_json())
    assert again == command
    assert again.to_json() == command.to_json()
    assert json.loads(command.to_json())["specversion"] == "1.0"


def test_what_was_not_set_is_left_out() -> None:
    """A resend by somebody who knows a newer contract stays the same command."""
    document = json.loads(update(1, {"age": None}).to_json())
    assert set(document) == {"specversion", "id", "source", "type", "time", "data"}
    assert document["data"]["changes"] == {"age": None}


def test_a_new_command_has_an_id_of_its_own_and_the_present_time() -> None:
    first, second = create(), create()
    assert first.id != second.id
    assert first.time is not None
    assert first.time.endswith("Z")
    assert first.type == "hero.create"


HERO = {
    "id": 7,
    "name": "Ada",
    "age": None,
    "version": 2,
    "created_at": "2026-01-02T03:04:05.000006Z",
    "updated_at": "2026-01-02T03:04:05.100000Z",
}
EVENT_DATA: dict[str, dict[str, Any]] = {
    "hero.created": {"hero": HERO},
    "hero.updated": {"hero": HERO, "changed": ["age", "name"]},
    "hero.deleted": {"hero": HERO},
    "hero.command_rejected": {"command_type": "hero.update", "code": "hero_not_found", "detail": "there is no hero 7"},
    "hero.command_dead_lettered": {"command_type": "hero.create", "reason": "handler_failed", "detail": "KeyError"},
}


def event_document(kind: str, **more: Any) -> dict[str, Any]:
    fixed = {"specversion": "1.0", "id": ID, "source": "/heroes-worker", "type": kind, "causationid": ID}
    return {**fixed, "time": "2026-01-02T03:04:05.000006Z", "subject": "7", "data": EVENT_DATA[kind], **more}


@pytest.mark.parametrize("kind", EVENT_DATA)
def test_an_event_survives_its_way_through_json(kind: str) -> None:
    event = EVENTS.validate_json(json.dumps(event_document(kind)))
    assert event.type == kind
    again = EVENTS.validate_json(event.to_json())
    assert again == event
    assert json.loads(again.to_json()) == event_document(kind)


@pytest.mark.parametrize("kind", EVENT_DATA)
def test_a_consumer_takes_an_event_that_has_grown(kind: str) -> None:
    """A newer worker may add attributes and fields; an older consumer reads what it knows."""
    grown = event_document(kind, sequence="1")
    grown["data"] = {**grown["data"], "shade": "red"}
    if "hero" in grown["data"]:
        grown["data"]["hero"] = {**HERO, "shade": "red"}
    event = EVENTS.validate_json(json.dumps(grown))
    assert "shade" not in event.to_json().decode()
    assert "sequence" not in event.to_json().decode()


def test_an_event_of_a_message_that_told_no_time_and_no_type_is_read() -> None:
    document = event_document("hero.command_dead_lettered")
    del document["time"], document["subject"]
    document["data"] = {"reason": "invalid_command", "detail": "d"}
    event = EVENTS.validate_json(json.dumps(document))
    assert event.time is None


def test_no_event_has_a_place_for_the_secret_name() -> None:
    """Not even one that a careless worker sends along."""
    document = event_document("hero.created", data={"hero": {**HERO, "secret_name": "Zx9"}})
    event = EVENTS.validate_json(json.dumps(document))
    assert "Zx9" not in event.to_json().decode()
    assert not any("secret" in field for kind in Event.__subclasses__() for field in kind.model_fields)


def test_an_unknown_attribute_of_the_envelope_is_ignored() -> None:
    document = json.loads(create(id=ID).to_json()) | {"partitionkey": "7", "comexampleextension": 5}
    command = CreateHero.model_validate_json(json.dumps(document))
    assert "partitionkey" not in json.loads(command.to_json())


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (CreateHero, {"name": "n", "secret_name": "s", "shade": "red"}),
        (UpdateHero, {"hero_id": 1, "changes": {"name": "n"}, "shade": "red"}),
        (UpdateHero, {"hero_id": 1, "changes": {"name": "n", "shade": "red"}}),
        (DeleteHero, {"hero_id": 1, "shade": "red"}),
    ],
)
def test_an_unknown_field_of_the_data_is_refused(kind: type[Command], data: dict[str, Any]) -> None:
    """Guessing would lose what the publisher meant by it."""
    name = {CreateHero: "hero.create", UpdateHero: "hero.update", DeleteHero: "hero.delete"}[kind]
    document = {"specversion": "1.0", "id": ID, "source": SOURCE, "type": name, "data": data}
    with pytest.raises(ValidationError, match="shade"):
        kind.model_validate_json(json.dumps(document))


@pytest.mark.parametrize("changes", [{}, {"name": None}, {"secret_name": None}, {"age": None, "name": None}])
def test_null_clears_the_age_and_nothing_else(changes: Any) -> None:
    assert UpdateHeroData(hero_id=1, changes={"age": None}).changes == {"age": None}
    with pytest.raises(ValidationError):
        UpdateHeroData(hero_id=1, changes=changes)


@pytest.mark.parametrize("age", ["3", True, 3.0, -1, 2**31])
def test_types_are_strict(age: Any) -> None:
    with pytest.raises(ValidationError):
        CreateHeroData(name="n", secret_name="s", age=age)


def test_a_command_can_not_be_changed_once_it_is_made() -> None:
    """Its id promises its content."""
    command = create()
    with pytest.raises(ValidationError):
        command.data.name = "other"  # type: ignore[misc]  # the very thing that must not work


BARE = """
import sys
sys.path[:] = [path for path in sys.path if "site-packages" not in path] + [{root!r}, {libraries!r}]
import contracts, contracts.channels, contracts.envelope, contracts.heroes
data = contracts.heroes.CreateHeroData(name="Ada", secret_name="s")
command = contracts.heroes.CreateHero.new(data, source="/elsewhere")
assert contracts.heroes.CreateHero.model_validate_json(command.to_json()) == command
print(*sorted({{name.split(".")[0] for name in sys.modules}}))
"""


def test_a_publisher_needs_pydantic_and_nothing_else(tmp_path: Path) -> None:
    """In an interpreter that finds only pydantic and what pydantic needs, the contract imports and works."""
    libraries = ("pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection")
    for name in libraries:
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        found = Path(spec.origin)
        found = found.parent if found.name == "__init__.py" else found
        (tmp_path / found.name).symlink_to(found)
    program = BARE.format(root=str(ROOT), libraries=str(tmp_path))
    bare = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert bare.returncode == 0, bare.stderr
    strangers = set(bare.stdout.split()) - set(sys.stdlib_module_names) - {*libraries, "contracts"}
    assert not {name for name in strangers if not name.startswith(("_", "typing"))}, strangers
    assert "worker" not in bare.stdout.split()
