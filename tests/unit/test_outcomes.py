"""Event documents: made once, the same bytes for ever, and never with a secret in them."""

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from contracts.envelope import Command
from contracts.heroes import AnyEvent
from tests.harness.commands import create, delete, update
from worker.documents import EventDocument
from worker.outcomes import (
    Fact,
    Letter,
    Outcome,
    Reason,
    Rejection,
    applied,
    dead_lettered,
    rejected,
    stored,
    trace_id,
)

TIME = "2026-01-02T03:04:05.000006Z"
SECRET = "Zx9-secret-Qk7"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SHA = "0" * 64
HERO = {"id": 7, "name": "Žofie 🐎", "age": None, "version": 1, "created_at": TIME, "updated_at": TIME}
FACT = Fact("hero.created", "7", {"hero": HERO})
LETTER = Letter(Reason.HANDLER_FAILED, "the handler raised KeyError", 3)
EVENTS: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)


def through_jsonb(envelope: Any) -> Any:
    """PostgreSQL keeps members by length and then by bytes, whatever order they came in."""
    text = json.dumps(_reordered(envelope))
    return json.loads(text)


def _reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _reordered(value[name]) for name in sorted(value, key=lambda name: (len(name), name.encode()))}
    return [_reordered(one) for one in value] if isinstance(value, list | tuple) else value


def outcomes_of(command: Command) -> list[Outcome]:
    return [
        applied(command, [FACT, Fact("hero.deleted", None, {"hero": HERO})], TIME),
        rejected(command, Rejection("hero_not_found", "there is no hero 7", "7"), TIME),
        dead_lettered(command, LETTER, TIME),
    ]


@pytest.mark.parametrize("number", range(3))
def test_an_outcome_comes_out_of_the_store_byte_for_byte_as_it_went_in(number: int) -> None:
    outcome = outcomes_of(create(traceparent=TRACE, tracestate="a=b"))[number]
    envelopes = [through_jsonb(event.envelope) for event in outcome.events]
    again = stored(outcome.command_id or "", outcome.kind.value, envelopes, published=False)
    assert [event.body for event in again.events] == [event.body for event in outcome.events]
    assert (again.command_id, again.kind, again.recorded) == (outcome.command_id, outcome.kind, True)


@settings(deadline=None, max_examples=100)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcÄ€🐎", max_size=3), inner, max_size=4),
        max_leaves=8,
    )
)
def test_an_event_of_any_data_has_the_same_bytes_after_the_store(value: Any) -> None:
    document = EventDocument.of({"id": "1", "data": {"value": value}})
    assert EventDocument.of(through_jsonb(document.envelope)).body == document.body


def test_whether_it_was_published_comes_from_the_row() -> None:
    (event,) = rejected(create(), Rejection("c", "d"), TIME).events
    assert stored("x", "rejected", [event.envelope], published=True).published
    assert not stored("x", "rejected", [event.envelope], published=False).published


def test_the_letter_of_a_dead_lettered_command_is_made_again_from_its_event() -> None:
    outcome = dead_lettered(create(), LETTER, TIME)
    again = stored("x", "dead_lettered", [outcome.events[0].envelope], published=False)
    assert again.letter is not None
    assert (again.letter.reason, again.letter.detail) == (LETTER.reason, LETTER.detail)
    assert stored("x", "applied", [outcome.events[0].envelope], published=False).letter is None


def test_every_event_has_an_id_of_its_own() -> None:
    command = create()
    ids = [event.envelope["id"] for _ in range(50) for event in applied(command, [FACT, FACT], TIME).events]
    assert len(set(ids)) == len(ids) == 100
    assert all(str(UUID(one)) == one for one in ids)


def test_an_event_belongs_to_its_command_and_to_its_conversation() -> None:
    command = create(correlationid="conversation", traceparent=TRACE, tracestate="a=b")
    for outcome in outcomes_of(command):
        for event in outcome.events:
            envelope = event.envelope
            assert (envelope["causationid"], envelope["correlationid"]) == (command.id, "conversation")
            assert (envelope["traceparent"], envelope["tracestate"]) == (TRACE, "a=b")
            assert envelope["time"] == TIME


@pytest.mark.parametrize(
    "malformed",
    [
        "00-1-2-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        f"{TRACE}-more",
        f"{TRACE}\n",
        f" {TRACE}",
        "\r\n",
    ],
)
def test_a_malformed_trace_is_not_carried_on(malformed: str) -> None:
    (event,) = rejected(create(traceparent=malformed, tracestate="a=b"), Rejection("c", "d"), TIME).events
    assert not {"traceparent", "tracestate"} & set(event.envelope)
    assert trace_id(malformed) is None


@pytest.mark.parametrize("valid", [TRACE, f"01{TRACE[2:]}-of a later version"])
def test_a_trace_is_carried_on_as_it_is(valid: str) -> None:
    (event,) = rejected(create(traceparent=valid), Rejection("c", "d"), TIME).events
    assert event.envelope["traceparent"] == valid
    assert trace_id(valid) == "0af7651916cd43dd8448eb211c80319c"


def test_a_command_without_a_conversation_begins_one() -> None:
    command = create()
    (event,) = rejected(command, Rejection("c", "d"), TIME).events
    assert event.envelope["correlationid"] == command.id
    assert "traceparent" not in event.envelope
    assert "subject" not in event.envelope


@pytest.mark.parametrize("command", [create(secret_name=SECRET), update(7, {"secret_name": SECRET}), delete(7)])
def test_no_outcome_tells_the_secret(command: Command) -> None:
    for outcome in outcomes_of(command):
        assert SECRET not in repr(outcome)
        assert b"secret" not in b"".join(event.body for event in outcome.events)


@pytest.mark.parametrize("number", range(3))
def test_what_the_worker_announces_is_what_the_contract_promises(number: int) -> None:
    for event in outcomes_of(create())[number].events:
        assert json.loads(EVENTS.validate_json(event.body).to_json()) == event.envelope


def test_events_stand_in_the_order_of_the_facts() -> None:
    facts = [Fact("hero.created", str(number), {"hero": HERO}) for number in range(20)]
    assert [event.envelope["subject"] for event in applied(create(), facts, TIME).events] == [str(n) for n in range(20)]
