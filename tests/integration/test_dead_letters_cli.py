"""`heroes dead-letters` as an operator types it: what it tells, what it changes, and what an accident leaves behind."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.envelope import Command
from contracts.heroes import COMMANDS, CreateHeroData, UpdateHeroData
from tests.harness.commands import create, update
from tests.harness.letters import Pigeonhole, everything_in, lines
from tests.harness.press import DONE, REFUSED, UNPREPARED, UNREACHABLE, USAGE, Press
from tests.harness.stage import Stage, eventually
from tests.harness.users import management_of, user
from worker import heroes
from worker.app import Worker, running_worker
from worker.entity import Entity
from worker.local import Services
from worker.operations import prepare
from worker.operations.dead_letters.advice import advice
from worker.outcomes import Handled, Reason
from worker.persistence.marker import Marker
from worker.retry import Backoff, RetryPolicy

SECRET = "Zx9-secret-Qk7"
QUICK = RetryPolicy(Backoff(3, 0.05), Backoff(3, 0.05), Backoff(8, 0.1))
OPERATOR = {"configure": "^$", "write": r"^heroes\.commands$", "read": r"^heroes\.dead_letters$"}
BROKEN: set[str] = set()
"""Names at which the handlers raise, until they are mended."""


async def _create(session: AsyncSession, data: CreateHeroData) -> Handled:
    if data.name in BROKEN:
        raise KeyError(data.name)
    return await heroes.create(session, data)


async def _update(session: AsyncSession, data: UpdateHeroData) -> Handled:
    if data.changes.get("name") in BROKEN:
        raise KeyError(data.hero_id)
    return await heroes.apply_update(session, data)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def worker(stage: Stage) -> AsyncIterator[Worker]:
    """At work, with handlers that fail at what is broken."""
    entity = Entity(COMMANDS, {**heroes.HANDLERS, "hero.create": _create, "hero.update": _update}, retry=QUICK)
    async with running_worker(stage.settings(shutdown_timeout_seconds=5), entity) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def hole(stage: Stage) -> AsyncIterator[Pigeonhole]:
    async with Pigeonhole.emptied(stage) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def emptied(hole: Pigeonhole) -> AsyncIterator[None]:
    """Each test has its own letters, and its own handlers to break."""
    await (await hole.channel.get_queue("heroes.dead_letters")).purge()
    BROKEN.clear()
    yield
    BROKEN.clear()


@pytest.fixture(scope="module")
def apart(services: Services) -> Iterator[Stage]:
    """Another corner, where no worker is."""
    with services.virtual_host("apart") as rabbitmq_url, services.database("apart") as database_url:
        yield Stage(rabbitmq_url, database_url)


async def send(hole: Pigeonhole, command: Command, **properties: Any) -> None:
    exchange = await hole.channel.get_exchange("heroes.commands", ensure=False)
    message = aio_pika.Message(command.to_json(), delivery_mode=2, message_id=command.id, **properties)
    await exchange.publish(message, command.routing_key)


async def given_up(stage: Stage, hole: Pigeonhole, command: Command, **properties: Any) -> None:
    """The worker has failed at it: its letter is there, and its row owes nothing."""
    before = await hole.count()
    await send(hole, command, **properties)
    await hole.holds(before + 1)
    await eventually(lambda: stage.is_published(command.id), "its row is marked")


async def becomes(stage: Stage, command: Command, outcome: str) -> None:
    async def is_so() -> bool:
        row = await stage.inbox(command.id)
        return row is not None and row["outcome"] == outcome and row["published_at"] is not None

    await eventually(is_so, f"{command.id} is {outcome}", within_seconds=20)


async def heroes_called(stage: Stage, name: str) -> int:
    return len(await stage.rows("SELECT FROM hero WHERE name = $1", name))


async def test_list_groups_letters_and_leaves_them_in_their_order(press: Press, stage: Stage, hole: Pigeonhole) -> None:
    """Looked at, interrupted by a crash, and looked at again."""
    first, last = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
    commands = [create() for _ in range(700)]
    await asyncio.gather(*(hole.put_command(one, at=first) for one in commands))
    await hole.put(b"no JSON", reason="invalid_command", at=first)
    await hole.put_command(update(7, {"age": 3}), at=first)
    await hole.put_command(update(8, {"age": 3}), at=last)
    environment = {"HEROES_RABBITMQ_URL": stage.rabbitmq_url}
    order = [line["id"] for line in lines((await press.run(environment, *LIST, "--ids", "--json")).ends(DONE).output)]
    crash = "from worker.operations.dead_letters.listing import Groups; Groups.add = lambda *_: os._exit(99)"
    assert (await press.run(environment, *LIST, before=crash)).code == 99
    await hole.holds(703)
    told = (await press.run(environment, *LIST, "--json")).ends(DONE).document
    assert told["total"] == 703
    groups = {(one["reason"], one["type"]): one for one in told["groups"]}
    assert {key: one["count"] for key, one in groups.items()} == {
        ("handler_failed", "hero.create"): 700,
        ("handler_failed", "hero.update"): 2,
        ("invalid_command", "unknown"): 1,
    }
    updates = groups["handler_failed", "hero.update"]
    assert (updates["oldest"], updates["newest"]) == ("2026-01-02T03:04:05Z", "2026-02-03T04:05:06Z")
    people = await press.run(environment, *LIST, "--type", "hero.update")
    people.ends(DONE, "hero.update", "2026-02-03T04:05:06Z", "deploy the cure", "2 dead letters")
    assert "hero.create" not in people.output
    assert SECRET not in people.output
    await hole.holds(703)
    left = await hole.bodies(703)
    assert [json.loads(body)["id"] for body in left if body != b"no JSON"] == order[:700] + order[701:]
    assert left[700] == b"no JSON"


LIST = ("dead-letters", "list")
SHOW = ("dead-letters", "show")
REPLAY = ("dead-letters", "replay")
DROP = ("dead-letters", "drop")


async def test_who_ends_early_leaves_them_in_their_order_too(press: Press, stage: Stage, hole: Pigeonhole) -> None:
    """Letters that were given back before are given back behind each other: those that were not looked at, too."""
    commands = [create() for _ in range(100)]
    for one in commands:
        await hole.put_command(one)
    environment = {"HEROES_RABBITMQ_URL": stage.rabbitmq_url}
    small = "import worker.messaging.letterbox as l; l.FIRST_WINDOW = 4"
    (await press.run(environment, *LIST, before=small)).ends(DONE, "100 dead letters")
    early = await press.run(environment, *DROP, "--all", "--why", "x", "--log", os.devnull, before=small)
    early.ends(USAGE, "more than one")
    await hole.holds(100)
    assert await hole.bodies(100) == [one.to_json() for one in commands]


async def test_an_empty_queue_has_no_letters(press: Press, stage: Stage) -> None:
    (await press.run({"HEROES_RABBITMQ_URL": stage.rabbitmq_url}, *LIST)).ends(DONE, "0 dead letters")


@pytest.mark.parametrize("reason", [*Reason, "delivery_limit", "expired", "anything"])
def test_every_reason_has_one_sentence_of_advice(reason: str) -> None:
    assert 20 < len(advice(reason)) < 130
    assert advice(reason).endswith(".")


async def test_show_masks_what_is_secret_until_it_is_asked_for(press: Press, stage: Stage, hole: Pigeonhole) -> None:
    environment = {"HEROES_RABBITMQ_URL": stage.rabbitmq_url}
    command = create("Shown", SECRET)
    await hole.put_command(command, headers={"secret_name": SECRET, "note": "\x1b[2J[red]kept[/]"})
    said = await press.run(environment, *SHOW, command.id)
    said.ends(DONE, "Shown", '"secret_name": "***"', "it raised KeyError", "deploy the cure", "[red]kept[/]")
    assert SECRET not in said.output
    assert "\x1b" not in said.output
    document = (await press.run(environment, *SHOW, command.id, "--json", "--reveal")).ends(DONE).document
    assert document["body"] == json.loads(command.to_json())
    assert (document["exchange"], document["routing_key"]) == ("heroes.commands", command.routing_key)
    assert await hole.count() == 1


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (f'{{"Secret-Name": "{SECRET}", "data": [{{"secretName": "{SECRET}"}}], "x": 3}}'.encode(), '"x": 3'),
        (f"secret_name={SECRET}".encode(), "--reveal shows it"),
        (f'["{SECRET}"]'.encode(), "--reveal shows it"),
        (b"[" * 100_000 + SECRET.encode(), "--reveal shows it"),
        (b'{"a":' * 900 + b"1" + b"}" * 900, "body"),
        (b"\xff" + SECRET.encode(), "--reveal shows it"),
    ],
    ids=["other spelling", "text", "list", "deep", "deep but right", "bytes"],
)
async def test_show_reveals_no_secret_of_a_body_that_is_wrong(
    press: Press, stage: Stage, hole: Pigeonhole, body: bytes, shown: str
) -> None:
    await hole.put(body, reason="invalid_command", message_id="the message's own id")
    environment = {"HEROES_RABBITMQ_URL": stage.rabbitmq_url}
    by_hash = await press.run(environment, *SHOW, f"sha256:{sha256(body).hexdigest()}")
    by_id = await press.run(environment, *SHOW, "the message's own id")
    assert by_hash.ends(DONE, shown).output == by_id.output
    assert SECRET not in by_id.output


async def test_show_says_when_there_is_no_such_letter(press: Press, stage: Stage) -> None:
    said = await press.run({"HEROES_RABBITMQ_URL": stage.rabbitmq_url}, *SHOW, "nobody")
    said.ends(REFUSED, "no dead letter is called nobody", "heroes dead-letters list --ids")


async def test_a_replayed_letter_takes_effect_as_the_command_that_it_was(
    press: Press, stage: Stage, hole: Pigeonhole, worker: Worker
) -> None:
    command = create(name := f"Replayed {uuid4()}")
    BROKEN.add(name)
    await given_up(stage, hole, command)
    environment = stage.environment()
    dry = await press.run(environment, *REPLAY, command.id, "--dry-run")
    dry.ends(DONE, "1 would be sent again")
    assert await hole.count() == 1
    BROKEN.clear()
    (await press.run(environment, *REPLAY, command.id)).ends(DONE, "1 sent again")
    await becomes(stage, command, "applied")
    assert await hole.count() == 0
    assert await heroes_called(stage, name) == 1
    (await press.run(environment, *REPLAY, command.id)).ends(REFUSED, "no dead letter is called")


async def test_a_replay_that_fails_again_is_a_letter_again(
    press: Press, stage: Stage, hole: Pigeonhole, worker: Worker
) -> None:
    command = create(name := f"Hopeless {uuid4()}")
    BROKEN.add(name)
    await given_up(stage, hole, command)
    first = await stage.inbox(command.id)
    (await press.run(stage.environment(), *REPLAY, "--reason", "handler_failed")).ends(DONE, "1 sent again")
    await hole.holds(1)
    await becomes(stage, command, "dead_lettered")
    again = await stage.inbox(command.id)
    assert first is not None
    assert again is not None
    assert again["handled_at"] > first["handled_at"]


WINDOWS = {
    "before the row is taken back": "import worker.operations.dead_letters.replaying as r; r.release = DIE",
    "after the row was taken back": "import worker.operations.dead_letters.replaying as r; r.resend = DIE",
    "after it was confirmed": "from worker.messaging.letterbox import Letterbox as B; B.remove = DIE",
    "after the letter was acknowledged": (
        "from worker.operations.dead_letters.reading import Opened as O; O.tell_unseen = DIE"
    ),
}


@pytest.mark.parametrize("window", WINDOWS)
async def test_a_crash_half_way_loses_nothing_and_doubles_no_effect(
    press: Press, stage: Stage, hole: Pigeonhole, worker: Worker, window: str
) -> None:
    command = create(name := f"Crashed {uuid4()}")
    BROKEN.add(name)
    await given_up(stage, hole, command)
    BROKEN.clear()
    die = f"DIE = lambda *_: os._exit(99); {WINDOWS[window]}"
    assert (await press.run(stage.environment(), *REPLAY, command.id, before=die)).code == 99
    if "confirmed" in window:
        await becomes(stage, command, "applied")
    await hole.holds(0 if "acknowledged" in window else 1)
    if "acknowledged" not in window:
        said = await press.run(stage.environment(), *REPLAY, "--all")
        said.ends(DONE, "applied meanwhile" if "confirmed" in window else "1 sent again")
    await becomes(stage, command, "applied")
    assert await hole.count() == 0
    assert await heroes_called(stage, name) == 1


async def test_what_changed_since_is_not_overtaken_unless_forced(
    press: Press, stage: Stage, hole: Pigeonhole, worker: Worker
) -> None:
    born, name = create(), f"Late {uuid4()}"
    await send(hole, born)
    await becomes(stage, born, "applied")
    row = await stage.inbox(born.id)
    assert row is not None
    hero_id = int(json.loads(row["events"])[0]["subject"])
    late, other = update(hero_id, {"name": name}), update(hero_id, {"age": 5})
    BROKEN.add(name)
    await given_up(stage, hole, late)
    environment = stage.environment()
    (await press.run(environment, *REPLAY, late.id, "--dry-run")).ends(DONE, "1 would be sent again")
    await send(hole, other)
    await becomes(stage, other, "applied")
    BROKEN.clear()
    refused = await press.run(environment, *REPLAY, "--all")
    refused.ends(REFUSED, "1 refused: what it is about has changed since", late.id)
    assert await hole.count() == 1
    (await press.run(environment, *REPLAY, "--all", "--force")).ends(DONE, "1 sent again")
    await becomes(stage, late, "applied")
    assert await heroes_called(stage, name) == 1


async def test_what_a_replay_changes_itself_stands_in_no_later_letters_way(
    press: Press, stage: Stage, hole: Pigeonhole, worker: Worker
) -> None:
    """One after the other, slowly; but the letter that was set aside before another one may not follow it."""
    born, names = create(), [f"Later {uuid4()}" for _ in range(3)]
    await send(hole, born)
    await becomes(stage, born, "applied")
    hero_id = int(json.loads((await stage.inbox(born.id) or {})["events"])[0]["subject"])
    BROKEN.update(names)
    updates = [update(hero_id, {"name": name}) for name in names]
    for one in updates:
        await given_up(stage, hole, one)
    first = (await hole.take(1))[0]
    letters = await hole.channel.get_exchange("heroes.dead_letters", ensure=False)
    await letters.publish(aio_pika.Message(first.body, headers=first.headers), first.routing_key or "")
    BROKEN.clear()
    said = await press.run(stage.environment(), *REPLAY, "--all", "--rate", "5/s")
    said.ends(REFUSED, "2 sent again", "1 refused: what it is about has changed since", updates[0].id)
    for one in updates[1:]:
        await becomes(stage, one, "applied")
    assert await heroes_called(stage, names[2]) == 1


async def test_what_the_inbox_may_have_forgotten_is_not_replayed_unless_forced(
    press: Press, stage: Stage, hole: Pigeonhole, worker: Worker
) -> None:
    command = create(name := f"Old {uuid4()}")
    await hole.put_command(command, at=datetime.now(UTC) - timedelta(days=7, minutes=1))
    environment = stage.environment()
    (await press.run(environment, *REPLAY, command.id)).ends(REFUSED, "1 refused: older than the inbox's retention")
    longer = {**environment, "HEROES_INBOX_RETENTION_DAYS": "8"}
    (await press.run(longer, *REPLAY, command.id, "--dry-run")).ends(DONE, "1 would be sent again")
    (await press.run(environment, *REPLAY, command.id, "--force")).ends(DONE, "1 sent again")
    await becomes(stage, command, "applied")
    assert await heroes_called(stage, name) == 1


async def test_a_letter_whose_command_took_effect_is_only_removed_and_another_one_under_its_id_stays(
    press: Press, stage: Stage, hole: Pigeonhole, worker: Worker
) -> None:
    command, no = create(name := f"Done {uuid4()}"), update(2**60, {"age": 3})
    await send(hole, command)
    await send(hole, no)
    await becomes(stage, command, "applied")
    await becomes(stage, no, "rejected")
    impostor = create("Impostor", id=command.id)
    for one in (command, no, impostor):
        await hole.put_command(one)
    said = await press.run(stage.environment(), *REPLAY, "--all")
    said.ends(REFUSED, "applied meanwhile", "rejected meanwhile", "1 refused: its id was handled with another content")
    assert await hole.bodies(1) == [impostor.to_json()]
    assert await heroes_called(stage, name) == 1
    assert await heroes_called(stage, "Impostor") == 0


async def test_copies_of_one_letter_have_one_effect(
    press: Press, stage: Stage, hole: Pigeonhole, worker: Worker
) -> None:
    command = create(name := f"Copied {uuid4()}")
    BROKEN.add(name)
    await given_up(stage, hole, command)
    for _ in range(3):
        await hole.put_command(command)
    BROKEN.clear()
    (await press.run(stage.environment(), *REPLAY, command.id)).ends(DONE)
    await becomes(stage, command, "applied")
    assert await hole.count() == 0
    assert await heroes_called(stage, name) == 1


async def test_an_end_that_nobody_announced_is_announced_before_it_can_be_taken_back(
    press: Press, stage: Stage, hole: Pigeonhole, worker: Worker
) -> None:
    """A worker died between its acknowledgement and the mark of the row, which is never forgotten while it owes."""
    command = create(name := f"Unannounced {uuid4()}")
    BROKEN.add(name)
    await given_up(stage, hole, command)
    BROKEN.clear()
    await stage.rows("UPDATE inbox SET published_at = NULL WHERE command_id = $1", command.id)
    (await press.run(stage.environment(), *REPLAY, command.id)).ends(DONE, "1 sent again to have its end announced")
    await becomes(stage, command, "dead_lettered")
    await hole.holds(1)
    (await press.run(stage.environment(), *REPLAY, command.id)).ends(DONE, "1 sent again")
    await becomes(stage, command, "applied")


async def test_a_worker_that_still_has_to_mark_the_old_outcome_does_not_mark_the_new_one(
    press: Press, stage: Stage, hole: Pigeonhole, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It marked the row, the answer was lost, and so it will mark it again, when there is another row by now."""
    command, marker = create(name := f"Marked {uuid4()}"), worker.pipeline.marker
    mark, publish = Marker._mark, worker.pipeline.events.publish
    answers, may_publish = asyncio.Event(), asyncio.Event()

    async def unanswered(self: Marker, marks: Any) -> None:
        await mark(self, marks)
        if not answers.is_set() and command.id in marks:
            raise ConnectionError

    async def held_up(events: Any) -> None:
        if events[0].envelope["type"] == "hero.created" and events[0].envelope["causationid"] == command.id:
            await may_publish.wait()
        await publish(events)

    BROKEN.add(name)
    monkeypatch.setattr(Marker, "_mark", unanswered)
    await given_up(stage, hole, command)
    BROKEN.clear()
    monkeypatch.setattr(type(worker.pipeline.events), "publish", lambda _, events: held_up(events))
    (await press.run(stage.environment(), *REPLAY, command.id)).ends(DONE, "1 sent again")

    async def is_applied() -> bool:
        row = await stage.inbox(command.id)
        return row is not None and row["outcome"] == "applied"

    await eventually(is_applied, "the replayed command is applied")
    assert marker.remembered(command.id), "otherwise nothing is proven here"
    answers.set()
    assert await marker.flush()
    assert not await stage.is_published(command.id)
    may_publish.set()
    await becomes(stage, command, "applied")


async def test_letters_that_the_broker_set_aside_are_replayed_as_they_were_published(
    press: Press, apart: Stage, services: Services
) -> None:
    """At the delivery limit, with the least rights that do; nobody is at work here."""
    await asyncio.gather(prepare.prepare_database(apart.settings()), prepare.prepare_broker(apart.settings()))
    command = create("Set aside")
    async with Pigeonhole.emptied(apart) as hole:
        headers = {"CC": ["elsewhere"], "x-mine": "kept"}
        await send(hole, command, headers=headers, correlation_id="mine", app_id="tests", reply_to="heroes.replies.x")
        await refused_to_the_limit(hole, f"heroes.commands.{command.routing_key}")
        async with management_of(services) as management, user(management, apart.rabbitmq_url, **OPERATOR) as url:
            environment = apart.environment(HEROES_RABBITMQ_URL=url)
            (await press.run(environment, *LIST)).ends(DONE, "delivery_limit", "hero.create", "took it 100 times")
            shown = (await press.run(environment, *SHOW, command.id, "--json")).ends(DONE).document
            assert (shown["set_aside_by"], shown["routing_key"]) == ("the broker", command.routing_key)
            (await press.run(environment, *REPLAY, "--type", "hero.create")).ends(DONE, "1 sent again")
        (back,) = await everything_in(hole.channel, f"heroes.commands.{command.routing_key}")
        assert await hole.count() == 0
    assert (back.body, back.exchange, back.routing_key) == (command.to_json(), "heroes.commands", command.routing_key)
    assert dict(back.headers) == {"x-mine": "kept"}
    properties = (back.message_id, back.correlation_id, back.app_id, back.reply_to, back.delivery_mode)
    assert properties == (command.id, "mine", "tests", "heroes.replies.x", 2)


async def refused_to_the_limit(hole: Pigeonhole, queue: str) -> None:
    async def refuse(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        await message.reject(requeue=True)

    source = await hole.channel.get_queue(queue)
    tag = await source.consume(refuse)
    await hole.holds(1)
    await source.cancel(tag)


async def test_what_a_worker_moved_out_of_the_way_is_put_back(press: Press, apart: Stage) -> None:
    """And a command that went straight into its queue finds it by its slot: the operator may write nowhere else."""
    await asyncio.gather(prepare.prepare_database(apart.settings()), prepare.prepare_broker(apart.settings()))
    command = create("Moved")
    moved = {"x-original-user-id": "ann", "x-original-expiration": 600_000, "x-original-priority": 3}
    direct = {"x-original-exchange": "", "x-original-routing-key": f"heroes.commands.{command.routing_key}"}
    async with Pigeonhole.emptied(apart) as hole:
        await hole.put_command(command, headers={**moved, **direct, "traceparent": "00-1", "x-original-cc": ["x"]})
        (await press.run(apart.environment(), *REPLAY, "--all")).ends(DONE, "1 sent again")
        (back,) = await everything_in(hole.channel, f"heroes.commands.{command.routing_key}")
    assert dict(back.headers) == {"traceparent": "00-1"}
    assert (back.expiration, back.priority, back.user_id) == (600, 3, None)


async def test_a_replay_goes_no_faster_than_it_is_asked_to(press: Press, apart: Stage) -> None:
    await asyncio.gather(prepare.prepare_database(apart.settings()), prepare.prepare_broker(apart.settings()))
    async with Pigeonhole.emptied(apart) as hole:
        for _ in range(6):
            await hole.put_command(create())
        began = time.monotonic()
        (await press.run(apart.environment(), *REPLAY, "--all", "--rate", "10/s")).ends(DONE, "6 sent again")
        assert time.monotonic() - began >= 0.5
        assert await hole.count() == 0
    (await press.run(apart.environment(), *REPLAY, "--all", "--rate", "0")).ends(USAGE, "should be like 50/s")


async def test_a_replay_tells_which_letters_can_only_come_back(press: Press, hole: Pigeonhole, stage: Stage) -> None:
    await hole.put(b"no JSON", reason="invalid_command")
    dry = await press.run(stage.environment(), *REPLAY, "--all", "--dry-run")
    dry.ends(DONE, "1 would be sent again", "1 of these can only come back")


async def test_a_database_that_refuses_is_a_wrong_setting(press: Press, stage: Stage) -> None:
    url = stage.database_url.rpartition("/")[0] + "/nowhere"
    ended = await press.run({**stage.environment(), "HEROES_DATABASE_URL": url}, "queues")
    ended.ends(USAGE, "unpublished rows were not counted: HEROES_DATABASE_URL: PostgreSQL refuses")


async def test_a_letter_whose_line_can_not_be_written_stays(press: Press, hole: Pigeonhole, stage: Stage) -> None:
    """/dev/full takes no byte, like a disk that is full."""
    await hole.put_command(create())
    environment = {"HEROES_RABBITMQ_URL": stage.rabbitmq_url}
    ended = await press.run(environment, *DROP, "--all", "--yes", "--why", "nobody wants it", "--log", "/dev/full")
    ended.ends(USAGE, "--log /dev/full can't be written: No space left on device")
    await hole.holds(1)


async def test_dropped_letters_are_written_down_without_their_bodies(
    press: Press, stage: Stage, hole: Pigeonhole, tmp_path: Path
) -> None:
    environment, log = {"HEROES_RABBITMQ_URL": stage.rabbitmq_url}, tmp_path / "dropped.jsonl"
    one, other, kept = create("One", SECRET), create("Other", SECRET), update(7, {"age": 3})
    for command in (one, other, kept):
        await hole.put_command(command)
    options = ("--why", "sent by mistake", "--log", str(log))
    await_yes = await press.run(environment, *DROP, "--type", "hero.create", *options)
    await_yes.ends(USAGE, "more than one letter would be dropped", "--yes")
    assert log.read_text() == ""
    (await press.run(environment, *DROP, one.id, *options)).ends(DONE, "1 dropped")
    (await press.run(environment, *DROP, one.id, *options)).ends(REFUSED, "no dead letter is called")
    crash = "from worker.messaging.letterbox import Letterbox as B; B.remove = lambda *_: os._exit(99)"
    assert (await press.run(environment, *DROP, "--type", "hero.create", "--yes", *options, before=crash)).code == 99
    await hole.holds(2)
    (await press.run(environment, *DROP, "--type", "hero.create", "--yes", *options)).ends(DONE, "1 dropped")
    written = lines(log.read_text())
    assert [line["id"] for line in written] == [one.id, other.id, other.id]
    assert {line["why"] for line in written} == {"sent by mistake"}
    assert written[0]["sha256"] == sha256(one.to_json()).hexdigest()
    assert written[0]["headers"]["x-dead-letter-reason"] == "handler_failed"
    assert "@" in written[0]["who"]
    assert SECRET not in log.read_text()
    assert await hole.bodies(1) == [kept.to_json()]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((*REPLAY,), "say which letters"),
        ((*REPLAY, "--all", "--type", "x"), "say which letters"),
        ((*DROP, "--all"), "--why"),
        ((*DROP, "--all", "--why", " "), "say why"),
        ((*DROP, "--all", "--why", "x", "--log", "/no/such/folder/log"), "can't be written"),
    ],
)
async def test_a_command_line_that_does_not_say_enough_is_wrong_usage(
    press: Press, stage: Stage, arguments: tuple[str, ...], says: str
) -> None:
    (await press.run(stage.environment(), *arguments)).ends(USAGE, says)


async def test_only_a_replay_needs_the_database(press: Press, stage: Stage, hole: Pigeonhole) -> None:
    without = {"HEROES_RABBITMQ_URL": stage.rabbitmq_url}
    (await press.run(without, *REPLAY, "--all")).ends(USAGE, "HEROES_DATABASE_URL is not set")
    away = {**without, "HEROES_DATABASE_URL": "postgresql+asyncpg://a:b@127.0.0.1:1/d"}
    (await press.run(away, *REPLAY, "--all")).ends(UNREACHABLE, "PostgreSQL")
    await hole.put_command(create())
    (await press.run(without, *LIST)).ends(DONE, "1 dead letter")


async def test_what_is_missing_or_forbidden_is_told_in_a_sentence(press: Press, services: Services) -> None:
    with services.virtual_host("bare") as bare:
        (await press.run({"HEROES_RABBITMQ_URL": bare}, *LIST)).ends(UNPREPARED, "heroes.dead_letters is missing")
        settings = Stage(bare, "postgresql+asyncpg://a:b@127.0.0.1:1/d").settings()
        await prepare.prepare_broker(settings)
        async with (
            management_of(services) as management,
            user(management, bare, configure="^$", write="^$", read="^$") as blind,
        ):
            async with Pigeonhole.emptied(Stage(bare, "")) as hole:
                await hole.put_command(create())
            (await press.run({"HEROES_RABBITMQ_URL": blind}, *LIST)).ends(UNPREPARED, "this user may not read it")
    impatient = "import worker.operations.dead_letters.reading as r; r._CONNECT_WITHIN_SECONDS = 0.1"
    away = await press.run({"HEROES_RABBITMQ_URL": "amqp://a:b@127.0.0.1:1/v"}, *LIST, before=impatient)
    away.ends(UNREACHABLE, "did not answer within")
