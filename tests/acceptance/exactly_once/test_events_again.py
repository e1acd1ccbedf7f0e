"""Events whose publication failed come again with the ids that they had, and the commands have their effect once."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from contracts.envelope import Command
from tests.harness.cable import Cable
from tests.harness.commands import create, update
from tests.harness.effects import assert_inbox_holds, heroes_of
from tests.harness.ledger import announced, everything_heard, heard_at_least, leftovers, send_all
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire
from worker.app import running_worker
from worker.errors import PublishNotConfirmedError
from worker.messaging.channel import ConfirmedChannel
from worker.messaging.together import Outgoing


def _confirms_fail(monkeypatch: pytest.MonkeyPatch, fails: Callable[[str], bool], *, sent: bool) -> None:
    """Every group with an event for which `fails` says so is reported as unconfirmed, sent all the same or not."""
    publish = ConfirmedChannel.publish_together

    async def publish_or_fail(
        self: ConfirmedChannel, messages: Sequence[tuple[Outgoing, str]], *, exchange: str
    ) -> None:
        failing = [message for message, _ in messages if fails(str(message.properties.message_id))]
        if sent or not failing:
            await publish(self, messages, exchange=exchange)
        if failing:
            raise PublishNotConfirmedError("a test says so")

    monkeypatch.setattr(ConfirmedChannel, "publish_together", publish_or_fail)


async def test_events_whose_confirm_was_lost_come_again_with_the_same_ids(
    stage: Stage, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: Counter[str] = Counter()

    def fails_at_first(event_id: str) -> bool:
        tries[event_id] += 1
        return tries[event_id] == 1

    _confirms_fail(monkeypatch, fails_at_first, sent=True)
    commands = [create(name=f"Repeated {number}") for number in range(40)]
    async with running_worker(stage.settings()):
        await send_all(wire, commands)
        await heard_at_least(wire, 2 * len(commands))

    ledger = await everything_heard(wire)
    ledger.assert_one_event_each(commands)
    ledger.assert_one_content_each()
    assert len(await stage.rows("SELECT id FROM hero WHERE name LIKE 'Repeated %'")) == len(commands)
    await assert_inbox_holds(stage, commands)
    assert await leftovers(stage) == []
    assert wire.letters == []


async def test_what_one_worker_committed_and_could_not_announce_the_next_announces_with_the_stored_ids(
    stage: Stage, wire: Wire
) -> None:
    commands = [create(name=f"Owed {number}") for number in range(40)]
    with pytest.MonkeyPatch.context() as patch:
        _confirms_fail(patch, lambda _: True, sent=False)
        async with running_worker(stage.settings(shutdown_timeout_seconds=0.2)):
            await send_all(wire, commands)
            await eventually(lambda: _all_owed(stage, commands), "every command is committed and owes its event")
    assert (await everything_heard(wire)).first == []
    owed = await _stored_ids(stage, commands)

    async with running_worker(stage.settings()):
        await announced(wire, commands)
    ledger = await everything_heard(wire)
    assert dict(ledger.ids_of) == owed
    ledger.assert_one_content_each()
    assert await _stored_ids(stage, commands) == owed
    assert len(await stage.rows("SELECT id FROM hero WHERE name LIKE 'Owed %'")) == len(commands)
    await assert_inbox_holds(stage, commands)
    assert await leftovers(stage) == []


async def _all_owed(stage: Stage, commands: Sequence[Command]) -> bool:
    ids = [command.id for command in commands]
    rows = await stage.rows("SELECT FROM inbox WHERE command_id = ANY($1) AND published_at IS NULL", ids)
    return len(rows) == len(ids)


async def _stored_ids(stage: Stage, commands: Sequence[Command]) -> dict[str, list[str]]:
    """The event ids that the inbox holds for each command."""
    query = (
        "SELECT command_id::text AS command, array_agg(event->>'id') AS events"
        " FROM inbox, json_array_elements(events) AS event WHERE command_id = ANY($1) GROUP BY command_id"
    )
    rows = await stage.rows(query, [command.id for command in commands])
    return {row["command"]: row["events"] for row in rows}


async def test_commands_flow_through_a_broken_connection_once_in_order_and_with_all_their_events(
    stage: Stage, wire: Wire
) -> None:
    async with Cable.to(stage.rabbitmq_url) as cable, running_worker(stage.settings(rabbitmq_url=cable.url)):
        creates = [create(name=f"Cut {number}", age=0) for number in range(10)]
        await send_all(wire, creates)
        await announced(wire, creates)
        heroes = heroes_of(wire, creates)
        updates = [[update(hero_id, {"age": age}) for age in range(1, 41)] for hero_id in heroes]

        async def send_to_one(commands: Sequence[Command]) -> None:
            for command in commands:
                await wire.send(command)

        await asyncio.gather(*(send_to_one(commands) for commands in updates))
        await heard_at_least(wire, 100)
        cable.cut()
        commands = [*creates, *(command for one_heros in updates for command in one_heros)]
        await announced(wire, commands)

    ledger = await everything_heard(wire)
    ledger.assert_one_event_each(commands)
    ledger.assert_one_content_each()
    for events in ledger.by_hero().values():
        assert [event["data"]["hero"]["age"] for event in events] == list(range(41))
        assert [event["data"]["hero"]["version"] for event in events] == list(range(1, 42))
    rows = await stage.rows("SELECT age, version FROM hero WHERE name LIKE 'Cut %'")
    assert [(row["age"], row["version"]) for row in rows] == [(40, 41)] * 10
    await assert_inbox_holds(stage, commands)
    assert await leftovers(stage) == []
    assert wire.letters == []
