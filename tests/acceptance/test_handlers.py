"""What a handler may return: facts that become events, nothing at all; anything else is a bug."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.heroes import UpdateHeroData
from tests.harness.commands import update
from tests.harness.directed import Handlers, is_untouched, recorded
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire, document, reason_of
from worker import heroes
from worker.outcomes import Fact, Handled

_WRONG: dict[str, Any] = {
    "None": None,
    "a string": "hero.created",
    "a number": 42,
    "a list of None": [None],
    "a fact that is no JSON": [Fact("hero.created", "1", {"hero": object()})],
    "a fact of half a character": [Fact("hero.created", "1", {"hero": "\ud800"})],
}


@pytest.mark.parametrize("returned", _WRONG.values(), ids=_WRONG)
async def test_a_handler_that_returns_something_wrong_is_a_bug(
    stage: Stage, wire: Wire, handlers: Handlers, hero_id: int, returned: Any
) -> None:
    async def write_then_return(session: AsyncSession, data: UpdateHeroData, _: int) -> Handled:
        await heroes.apply_update(session, data)
        wrong: Handled = returned
        return wrong

    name = handlers.name(write_then_return)
    command = update(hero_id, {"name": name})
    event = await wire.outcome(command)
    (letter,) = await wire.letters_with(command.to_json())
    assert (reason_of(letter), letter.headers["x-attempts"], handlers.attempts[name]) == ("handler_failed", 3, 3)
    assert event["data"]["reason"] == "handler_failed"
    await is_untouched(stage, hero_id)


async def test_a_handler_with_nothing_to_tell_is_applied_without_an_event(
    stage: Stage, wire: Wire, handlers: Handlers, hero_id: int
) -> None:
    async def silent(session: AsyncSession, data: UpdateHeroData, _: int) -> Handled:
        await heroes.apply_update(session, data)
        return []

    command = update(hero_id, {"name": handlers.name(silent)})
    await wire.send(command)
    later = await wire.outcome(update(hero_id, {"age": 1}))
    assert later["data"]["hero"]["version"] == 3
    assert await recorded(stage, command) == ("applied", [])
    assert not [message for message in wire.events if document(message)["causationid"] == command.id]


@pytest.mark.parametrize(
    "value",
    [1e16, -0.0, datetime(2026, 1, 2, tzinfo=UTC), {"b": "\u2028é🦸", "a": [None, True, 0.1, 2**53 + 1]}],
    ids=["a large float", "minus zero", "a datetime", "the rest"],
)
async def test_an_event_of_any_entity_is_the_same_bytes_at_every_publication(
    stage: Stage, wire: Wire, handlers: Handlers, hero_id: int, value: Any
) -> None:
    async def tell(session: AsyncSession, data: UpdateHeroData, _: int) -> Handled:
        return [Fact("hero.updated", str(data.hero_id), {"measured": value})]

    command = update(hero_id, {"name": handlers.name(tell)})
    await wire.outcome(command)
    await eventually(lambda: stage.is_published(command.id), "the row is marked as published")
    await stage.rows("UPDATE inbox SET published_at = NULL WHERE command_id = $1", command.id)
    await wire.send(command)
    first, again = await wire.event_messages_of(command.id, 2)
    assert again.body == first.body
