"""A command takes effect once and its events keep their ids, however often, wherever and how badly it is delivered."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.channels import SLOTS, command_queues
from contracts.envelope import Command
from tests.harness.cable import Cable
from tests.harness.commands import create, delete, update
from tests.harness.ledger import Ledger, announced, everything_heard, heard_at_least, leftovers, send_all
from tests.harness.program import working
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire, document, reason_of
from worker.app import running_worker
from worker.entity import Entity
from worker.errors import PublishNotConfirmedError
from worker.messaging.channel import ConfirmedChannel
from worker.messaging.together import Outgoing
from worker.ours import OURS
from worker.outcomes import Handled
from worker.persistence.unit_of_work import Handler
from worker.retry import Backoff, RetryPolicy

PAIRS = 200
PAIRS_AT_ONCE = 10  # below a worker's concurrency: a pair must not wait for a permit that another pair holds
TWIN_PATIENCE_SECONDS = 1.0

_SOMEBODY_WAITS_FOR_ME = text(
    "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid)"
)


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def nothing_left_over(stage: Stage) -> AsyncIterator[None]:
    """A test that fails half-way leaves no commands to the next one."""
    yield
    await leftovers(stage)


@pytest.mark.parametrize("count", [300, pytest.param(2000, marks=pytest.mark.fault)])
async def test_many_commands_with_duplicates_among_them_leave_one_trace_each(
    stage: Stage, wire: Wire, count: int
) -> None:
    chance = random.Random(2026)  # noqa: S311 - a schedule, no secret
    creates = [create(name=f"Hero {number}", age=0) for number in range(count)]
    sent_again = [*creates[::10], *creates[::20]]  # every tenth twice, every twentieth three times

    async with working(stage):
        await send_all(wire, _shuffled_in(creates, sent_again, chance))
        await announced(wire, creates)
        heroes = _heroes_of(wire, creates)
        first = [update(hero_id, {"age": 1}) for hero_id in heroes[:200]]
        await send_all(wire, _shuffled_in(first, chance.sample(first, 40), chance))
        second = [update(hero_id, {"age": 2}) for hero_id in heroes[:100]]
        late = [*chance.sample(first, 20), *chance.sample(creates, 20)]
        await send_all(wire, _shuffled_in(second, [*chance.sample(second, 20), *late], chance))
        deletes = [delete(hero_id) for hero_id in heroes[:50]]
        late = [*chance.sample(first, 20), *chance.sample(second, 20)]
        await send_all(wire, _shuffled_in(deletes, [*chance.sample(deletes, 10), *late], chance))
        commands: list[Command] = [*creates, *first, *second, *deletes]
        await announced(wire, commands)

    ledger = await everything_heard(wire)
    ledger.assert_one_event_each(commands)
    ledger.assert_one_content_each()
    assert await leftovers(stage) == []
    assert wire.letters == []
    rows = await stage.rows("SELECT name, age, version FROM hero")
    assert {row["name"]: (row["age"], row["version"]) for row in rows} == {
        f"Hero {number}": (2, 3) if number < 100 else (1, 2) if number < 200 else (0, 1) for number in range(50, count)
    }
    assert len(rows) == count - 50
    await _assert_inbox_holds(stage, commands)


def _shuffled_in(commands: Sequence[Command], again: Sequence[Command], chance: random.Random) -> list[Command]:
    """The commands in their order with copies after them: half of these right after their original, half anywhere."""
    place = {command.id: float(number) for number, command in enumerate(commands)}
    placed = [(place[command.id], command) for command in commands]
    for number, copy in enumerate(again):
        original = place.get(copy.id, -1.0)
        placed.append((original + 0.5 if number % 2 else chance.uniform(original + 0.5, len(commands)), copy))
    return [command for _, command in sorted(placed, key=lambda item: item[0])]


def _heroes_of(wire: Wire, creates: Sequence[Command]) -> list[int]:
    ids = {event["causationid"]: event["data"]["hero"]["id"] for event in Ledger.of(wire).first}
    return [ids[command.id] for command in creates]


async def _assert_inbox_holds(stage: Stage, commands: Sequence[Command]) -> None:
    ids = [command.id for command in commands]
    rows = await stage.rows("SELECT outcome, published_at FROM inbox WHERE command_id = ANY($1)", ids)
    assert len(rows) == len(ids)
    assert all(row["outcome"] == "applied" and row["published_at"] for row in rows)


@dataclass(slots=True)
class Meetings:
    """Wraps handlers so that each waits until its command's twin waits for it in the database."""

    handled: list[Any] = field(default_factory=list)
    met: int = 0

    def entity(self) -> Entity:
        """Heroes, with every handler wrapped."""
        return replace(OURS, handlers={kind: self._wrapped(handler) for kind, handler in OURS.handlers.items()})

    def _wrapped(self, handler: Handler) -> Handler:
        async def wait_for_the_twin(session: AsyncSession, data: Any) -> Handled:
            self.handled.append(data)
            deadline = asyncio.get_running_loop().time() + TWIN_PATIENCE_SECONDS
            while not (here := await session.scalar(_SOMEBODY_WAITS_FOR_ME)):
                if asyncio.get_running_loop().time() > deadline:
                    break
                await asyncio.sleep(0.005)
            self.met += bool(here)
            return await handler(session, data)

        return wait_for_the_twin


@asynccontextmanager
async def _two_workers(stage: Stage, entity: Entity) -> AsyncIterator[None]:
    """Each has half of the queues: both are active, also on a broker that would give all of them to the first."""
    slots = command_queues()[:SLOTS]
    async with _worker_with(slots[::2], stage, entity), _worker_with(slots[1::2], stage, entity):
        yield


@asynccontextmanager
async def _worker_with(queues: Sequence[str], stage: Stage, entity: Entity) -> AsyncIterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("worker.assembly.command_queues", lambda: tuple(queues))
        running = running_worker(stage.settings(worker_id=queues[0]), entity)
        worker = await running.__aenter__()
    try:
        assert await worker.intake.unattached() == []
        yield
    finally:
        await running.__aexit__(None, None, None)


async def _send_pairs_at_the_same_moment(stage: Stage, wire: Wire, commands: Sequence[Command]) -> None:
    """Each command from two connections at once: one copy in its own slot, one in the next, with the other worker."""
    async with Wire.connected(stage) as other:
        for start in range(0, len(commands), PAIRS_AT_ONCE):
            pairs = commands[start : start + PAIRS_AT_ONCE]
            wrong_slots = [f"{(int(command.routing_key) + 1) % SLOTS:02d}" for command in pairs]
            await asyncio.gather(
                *(wire.send(command) for command in pairs),
                *(other.publish(command.to_json(), key) for command, key in zip(pairs, wrong_slots, strict=True)),
            )
            await announced(wire, pairs)


async def test_twins_that_meet_in_the_database_have_one_effect_and_one_set_of_event_ids(
    stage: Stage, wire: Wire
) -> None:
    meetings = Meetings()
    creates = [create(name=f"Twin {number}", age=0) for number in range(PAIRS)]
    async with _two_workers(stage, meetings.entity()):
        await _send_pairs_at_the_same_moment(stage, wire, creates)
        updates = [update(hero_id, {"age": 1}) for hero_id in _heroes_of(wire, creates[: PAIRS // 4])]
        await _send_pairs_at_the_same_moment(stage, wire, updates)

    commands = [*creates, *updates]
    assert len(meetings.handled) == len(commands), "a twin reached its handler as well"
    assert meetings.met > 0.9 * len(commands), f"only {meetings.met} of {len(commands)} pairs really met"
    ledger = await everything_heard(wire)
    ledger.assert_one_event_each(commands)
    ledger.assert_one_content_each()
    rows = await stage.rows("SELECT age, version FROM hero WHERE name LIKE 'Twin %'")
    assert sorted((row["age"], row["version"]) for row in rows) == [(0, 1)] * 150 + [(1, 2)] * 50
    await _assert_inbox_holds(stage, commands)
    assert await leftovers(stage) == []
    assert wire.letters == []


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
    await _assert_inbox_holds(stage, commands)
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
    await _assert_inbox_holds(stage, commands)
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
        heroes = _heroes_of(wire, creates)
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
    await _assert_inbox_holds(stage, commands)
    assert await leftovers(stage) == []
    assert wire.letters == []


async def test_a_twin_of_a_dead_lettered_command_is_acknowledged_and_changes_nothing(stage: Stage, wire: Wire) -> None:
    calls = 0

    async def broken(_: AsyncSession, __: Any) -> Handled:
        nonlocal calls
        calls += 1
        raise ZeroDivisionError

    hasty = RetryPolicy(bug=Backoff(attempts=2, total_seconds=0.02))
    command = create(name="Doomed")
    async with running_worker(stage.settings(), replace(OURS, handlers={"hero.create": broken}, retry=hasty)):
        event = await wire.outcome(command)
        assert event["data"]["reason"] == "handler_failed"
        (letter,) = await wire.letters_of(lambda one: command.id.encode() in one.body)
        assert reason_of(letter) == "handler_failed"
        await asyncio.gather(*(wire.send(command) for _ in range(3)))

    # A worker whose handlers are well finds the outcome as well.
    async with running_worker(stage.settings()):
        await wire.send(command)
        await wire.outcome(_another_in_the_slot_of(command))

    assert calls == 2
    assert await leftovers(stage) == []
    ledger = await everything_heard(wire)
    assert ledger.ids_of[command.id] == [event["id"]]
    assert len([one for one in map(document, wire.events) if one["causationid"] == command.id]) == 1
    assert len(wire.letters) == 1
    assert await stage.rows("SELECT id FROM hero WHERE name = 'Doomed'") == []
    row = await stage.inbox(command.id)
    assert row is not None
    assert row["outcome"] == "dead_lettered"


def _another_in_the_slot_of(command: Command) -> Command:
    """A create that stands behind it in the same queue."""
    while (other := create(name="Alive")).routing_key != command.routing_key:
        pass
    return other
