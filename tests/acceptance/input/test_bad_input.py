"""Whatever arrives that is no valid command is set aside for its reason, untouched, and the worker goes on serving."""

import asyncio
import io
import logging
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from aio_pika.abc import AbstractIncomingMessage

from contracts.channels import SLOTS
from tests.harness.bad_commands import BAD
from tests.harness.cases import CREATED, SECRET, Case
from tests.harness.letters import checked
from tests.harness.wire import Wire, document, reason_of

pytestmark = pytest.mark.usefixtures("worker")


@dataclass(frozen=True, slots=True)
class Heard:
    """All that came of the bad cases, each sent twice, and the queues where no good command came through any more."""

    events: list[AbstractIncomingMessage]
    letters: list[AbstractIncomingMessage]
    jammed: frozenset[str]
    log: str


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def heard(one_wire: Wire) -> Heard:
    """All cases at once, spread over the queues: one after the other they would take ten times as long."""
    keys = {f"{number:02d}" for number in range(SLOTS)}
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    logging.getLogger("worker").addHandler(handler)
    try:
        for case in [case for case in BAD for _ in range(2)]:
            await one_wire.publish(case.body, _slot_of(case), **case.properties)
        through = await asyncio.gather(*(one_wire.settled(key) for key in sorted(keys)), return_exceptions=True)
    finally:
        logging.getLogger("worker").removeHandler(handler)
    jammed = frozenset(key for key, result in zip(sorted(keys), through, strict=True) if result is not None)
    return Heard(list(one_wire.events), list(one_wire.letters), jammed, written.getvalue())


@pytest.mark.parametrize("case", BAD, ids=[case.name for case in BAD])
async def test_what_is_no_command_is_set_aside_untouched_and_the_worker_goes_on(heard: Heard, case: Case) -> None:
    letters = [letter for letter in heard.letters if letter.body == case.body]
    assert len(letters) == 2, f"jammed: {sorted(heard.jammed)}, this one was in {_slot_of(case)}"
    details = {checked(letter, case.reason, _slot_of(case)) for letter in letters}
    assert len(details) == 1
    assert SECRET not in details.pop()
    if case.command_id is not None:
        mine = [event for event in heard.events if document(event)["causationid"] == case.command_id]
        _check_events(mine, letters[0])
    assert _slot_of(case) not in heard.jammed


def test_where_no_id_can_be_read_no_event_comes_out(heard: Heard) -> None:
    announced = [event for event in map(document, heard.events) if event["type"] != CREATED]
    known = {case.command_id for case in BAD if case.command_id}
    assert {event["causationid"] for event in announced} == known
    assert len(announced) == 2 * len(known)
    assert len({event["id"] for event in announced}) == len(known)


def test_no_log_tells_what_stood_in_a_bad_command(heard: Heard) -> None:
    assert "dead-lettered" in heard.log
    assert SECRET not in heard.log


def _slot_of(case: Case) -> str:
    return f"{BAD.index(case) % SLOTS:02d}"


@pytest.mark.parametrize("exchange_of", ["", "heroes.events"])
async def test_the_letter_tells_where_the_message_came_from(wire: Wire, exchange_of: str) -> None:
    """Somebody may bind another exchange to the queue, or address it directly."""
    queue = await wire.channel.get_queue("heroes.commands.03")
    if exchange_of:
        await queue.bind(exchange_of, "some.key")
    routing_key = "some.key" if exchange_of else queue.name
    body = f"no command {uuid4()}".encode()
    await wire.publish(body, routing_key, exchange=exchange_of)
    (letter,) = await wire.letters_with(body)
    assert letter.headers["x-original-exchange"] == exchange_of
    assert letter.headers["x-original-routing-key"] == routing_key


def _check_events(messages: list[AbstractIncomingMessage], letter: AbstractIncomingMessage) -> None:
    """Twice the same event, and it tells what the letter tells."""
    assert len(messages) == 2
    first, second = messages
    event = document(first)
    assert second.body == first.body
    assert (first.message_id, second.message_id) == (event["id"], event["id"])
    assert UUID(event["id"]).version == 5
    assert event["type"] == first.type == first.routing_key == "hero.command_dead_lettered"
    assert event["data"]["reason"] == reason_of(letter)
    assert event["data"]["detail"] == letter.headers["x-dead-letter-detail"]
    assert set(event["data"]) <= {"command_type", "reason", "detail"}
    assert SECRET not in first.body.decode()
