"""Whatever arrives becomes a command or a reason; decoding never raises and never tells what stood in a field."""

from copy import deepcopy
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.harness.decoded import DECODER, MARKER, sample, sound, written
from worker.messaging.decode import Undecodable

hard = settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


HUGE = st.sampled_from([2**31, 2**63 - 1, 2**63, 2**64, 10**400, -1, "<huge>", -(2**63) - 1, 1e308, float("nan")])
TEXTS = st.text() | st.sampled_from(["\x00", "\ud800", "\udfff\ud800", "é" * 200, "1", "", "a\nb", "hero.create"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | HUGE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
) | st.builds(_nested, st.sampled_from([50, 199, 200, 201, 300]))
NAMES = st.sampled_from(["name", "secret_name", "age", "hero_id", "changes", "expected_version", "id", "data"]) | TEXTS


@hard
@given(st.binary(max_size=300), st.none() | st.text(max_size=60) | st.just("application/json"))
def test_any_bytes_of_any_content_type_give_a_command_or_a_reason(body: bytes, content_type: str | None) -> None:
    sound(body, content_type)


@hard
@given(VALUES)
def test_any_json_gives_a_command_or_a_reason(value: Any) -> None:
    sound(written(value), "application/json")


@hard
@given(st.sampled_from(["hero.create", "hero.update", "hero.delete"]), st.data())
def test_a_mutilated_command_gives_a_command_or_a_reason(kind: str, data: st.DataObject) -> None:
    """A valid envelope in which members are dropped, replaced and inserted, in the envelope, in data and in changes."""
    document = sample(kind, correlationid="c", traceparent="t", time="2026-01-01T00:00:00Z")
    for _ in range(data.draw(st.integers(1, 4))):
        inside = data.draw(st.sampled_from(_objects(document)))
        name = data.draw(st.sampled_from(sorted(inside)) | NAMES) if inside else data.draw(NAMES)
        if name in inside and data.draw(st.booleans()):
            del inside[name]
        else:
            inside[name] = deepcopy(data.draw(VALUES))
    sound(written(document), data.draw(st.sampled_from([None, "application/json", "APPLICATION/JSON ; a"])))


def _objects(document: dict[str, Any]) -> list[dict[str, Any]]:
    found = [document]
    for value in document.values():
        if isinstance(value, dict):
            found += _objects(value)
    return found


@hard
@given(st.sampled_from(["hero.create", "hero.update", "hero.delete"]), st.data())
def test_a_reason_never_tells_what_stood_in_a_field(kind: str, data: st.DataObject) -> None:
    """The marker stands in every text and in whatever was put in the place of a number, a list or an object."""
    planted = st.sampled_from([MARKER, [MARKER], {"value": MARKER}, f"{MARKER}\x00", MARKER * 60, MARKER * 500])
    document = sample(kind)
    for _ in range(data.draw(st.integers(1, 4))):
        inside = data.draw(st.sampled_from(_objects(document)))
        name = data.draw(st.sampled_from([*sorted(inside), "name", "secret_name", "extra", "time", "correlationid"]))
        inside[name] = deepcopy(data.draw(planted))
    body = written(document)
    cut = data.draw(st.integers(0, len(body)))
    for damaged in (body, body[:cut], body[:cut] + b"\xff" + body[cut:], body[:cut] + b"," + body[cut:]):
        content = DECODER.decode(damaged, None)
        if isinstance(content, Undecodable):
            assert MARKER not in content.letter.detail
