"""What is set aside unhandled: the same event at every delivery, and no more in it than could be read."""

import json

import pytest
from pydantic import TypeAdapter

from contracts.heroes import AnyEvent
from worker.outcomes import Letter, OutcomeKind, Reason, Traits, set_aside, shortened

TIME = "2026-01-02T03:04:05.000006Z"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SHA = "0" * 64
LETTER = Letter(Reason.HANDLER_FAILED, "the handler raised KeyError", 3)
EVENTS: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)


def test_a_message_that_is_set_aside_carries_its_trace_on_and_a_repeat_is_the_same() -> None:
    traits = Traits("an id", "nope", TIME, traceparent=TRACE, tracestate="a=b")
    first, second = (set_aside(traits, LETTER, "hash").events[0] for _ in range(2))
    assert first.envelope["traceparent"] == TRACE
    assert first.body == second.body


def test_a_message_set_aside_gives_the_same_event_at_every_delivery() -> None:
    traits = Traits("3f2b8c1e-9d4a-4c6b-8e7f-0a1b2c3d4e5f", "hero.create", TIME, "conversation")
    letter = Letter(Reason.INVALID_COMMAND, "d")
    first, second = set_aside(traits, letter, SHA), set_aside(traits, letter, SHA)
    assert first.events[0].body == second.events[0].body
    assert (first.kind, first.recorded, first.command_id) == (OutcomeKind.DEAD_LETTERED, False, traits.command_id)
    assert json.loads(EVENTS.validate_json(first.events[0].body).to_json()) == first.events[0].envelope


def test_another_body_another_reason_or_another_id_gives_another_event() -> None:
    one, other = "3f2b8c1e-9d4a-4c6b-8e7f-0a1b2c3d4e5f", "00000000-0000-4000-8000-000000000000"
    ids = {
        set_aside(Traits(command_id), Letter(reason, "d"), sha).events[0].envelope["id"]
        for command_id in (one, other)
        for reason in (Reason.INVALID_COMMAND, Reason.ID_REUSED)
        for sha in (SHA, "1" * 64)
    }
    assert len(ids) == 8


def test_a_message_without_a_readable_id_is_set_aside_without_an_event() -> None:
    outcome = set_aside(Traits(type="hero.create", time=TIME), Letter(Reason.INVALID_COMMAND, "d"), SHA)
    assert outcome.events == ()
    assert outcome.letter is not None
    assert outcome.command_id is None


def test_of_a_message_set_aside_only_what_could_be_read_is_told() -> None:
    (event,) = set_aside(Traits("3f2b8c1e-9d4a-4c6b-8e7f-0a1b2c3d4e5f"), Letter("r", "d"), SHA).events
    assert "time" not in event.envelope
    assert event.envelope["data"] == {"reason": "r", "detail": "d"}
    assert event.envelope["correlationid"] == event.envelope["causationid"]


@pytest.mark.parametrize("character", ["a", "é", "€", "🐎"])
@pytest.mark.parametrize("shift", range(4))
def test_a_long_detail_is_cut_between_characters(character: str, shift: int) -> None:
    """A header must hold it, and half a character would break whoever reads it."""
    cut = shortened("a" * shift + character * 3000)
    assert 1997 <= len(cut.encode()) <= 2000
    assert set(cut) <= {"a", character}


def test_a_short_detail_stays_as_it_is() -> None:
    assert shortened("é" * 1000) == "é" * 1000
    assert not shortened("")
