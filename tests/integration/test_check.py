"""`heroes check` on real services: each thing that may be wrong is broken, found and mended; nothing else happens."""

import re
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from time import monotonic
from typing import Any
from urllib.parse import quote, urlsplit

import aio_pika
import httpx
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractChannel

from tests.harness.broker_outages import ALARMS, own_rabbitmq
from tests.harness.press import DONE, UNPREPARED, UNREACHABLE, USAGE, Press, Said
from tests.harness.shipped import definitions, shipped_users
from tests.harness.stage import Stage, eventually
from tests.harness.users import PASSWORD, management_of, user
from worker.local import Services
from worker.messaging import topology
from worker.messaging.connection import connected, server_version
from worker.operations import prepare

NOWHERE = {
    "HEROES_RABBITMQ_URL": "amqp://ann:Zx9Qk7-password@127.0.0.1:1/v",
    "HEROES_DATABASE_URL": "postgresql+asyncpg://ann:Zx9Qk7-password@127.0.0.1:1/d",
}
SLOT, LETTERS, EVENTS, LOG = "heroes.commands.07", "heroes.dead_letters", "heroes.events", "heroes.events.log"
WRITE = r"^(amq\.default|heroes\.(events|dead_letters))$"
READ = r"^heroes\.(commands(\..*)?|queries|events\.log)$"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def management(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    async with management_of(services) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def channel(stage: Stage) -> AsyncIterator[AbstractChannel]:
    async with await aio_pika.connect(stage.rabbitmq_url) as connection:
        yield await connection.channel()


@pytest.fixture
def seeing(stage: Stage, services: Services) -> Mapping[str, str]:
    """With the management API."""
    return stage.environment(HEROES_RABBITMQ_MANAGEMENT_URL=services.management_url)


async def test_all_is_well_and_only_the_findings_are_said(press: Press, seeing: Mapping[str, str]) -> None:
    said = (await press.run(seeing, "check")).ends(
        DONE,
        "✓ topology: 5 exchanges and 20 queues are as declared",
        "✓ bindings: all 21 are there",
        "✓ alarms: none",
        "✓ rights: this user may do all that a worker does",
        "✓ tables: they are those of this version",
        "✓ clock: ",
    )
    assert not [line for line in said.output.splitlines() if not re.match(r"[✓!✗] |    → ", line)]


async def test_without_the_management_api_one_note_says_what_was_not_looked_at(press: Press, stage: Stage) -> None:
    (await press.run(stage.environment(), "check")).ends(DONE, "! management: bindings, policies and alarms were not")
    wrong = stage.environment(HEROES_RABBITMQ_MANAGEMENT_URL="http://127.0.0.1:1")
    (await press.run(wrong, "check")).ends(DONE, "! management: ", "the management API does not answer")


@pytest.mark.fault
async def test_an_old_broker_that_ignores_priorities_is_a_note(press: Press, stage: Stage) -> None:
    async with connected(stage.rabbitmq_url, within_seconds=5) as connection:
        is_old = server_version(connection) < (4, 0)
    said = (await press.run(stage.environment(), "check")).ends(DONE)
    assert ("ignores consumer priorities" in said.output) is is_old


async def test_findings_come_as_json_too(press: Press, stage: Stage) -> None:
    document = (await press.run(stage.environment(**NOWHERE), "check", "--wait", "0.1", "--json")).document
    assert document["exit_code"] == UNREACHABLE
    wrong = [one for one in document["findings"] if one["finding"] == "wrong"]
    assert [one["part"].split()[0] for one in wrong] == ["database", "broker"]
    assert all(one["told"] and one["do"] and one["exit_code"] == UNREACHABLE for one in wrong)


async def test_a_queue_that_is_gone_and_one_with_other_arguments_are_named(
    press: Press, stage: Stage, channel: AbstractChannel
) -> None:
    for number in ("04", "05"):
        await channel.queue_delete(f"heroes.commands.{number}")
    await channel.declare_queue("heroes.commands.05", durable=True)
    said = (await press.run(stage.environment(), "check")).ends(
        UNPREPARED,
        "✗ topology: queue heroes.commands.04 is missing\n    → run heroes setup",
        "✗ topology: queue heroes.commands.05 is there, but not as it should be",
        "delete it once it is empty, then run heroes setup again",
    )
    assert said.output.count("✗") == 2
    (await press.run(stage.environment(), "setup")).ends(UNPREPARED, "queue heroes.commands.05 is there, but not")
    await channel.queue_delete("heroes.commands.05")
    await prepare.prepare_broker(stage.settings())


@pytest.mark.fault
async def test_an_exchange_that_is_gone_is_named(press: Press, stage: Stage, channel: AbstractChannel) -> None:
    await channel.exchange_delete("heroes.commands")
    (await press.run(stage.environment(), "check")).ends(UNPREPARED, "✗ topology: exchange heroes.commands is missing")
    await prepare.prepare_broker(stage.settings())


async def test_an_event_log_of_another_age_says_which_setting_mends_it(press: Press, stage: Stage) -> None:
    other = stage.environment(HEROES_EVENT_LOG_RETENTION_DAYS="3")
    (await press.run(other, "check")).ends(UNPREPARED, f"queue {LOG}", "set HEROES_EVENT_LOG_RETENTION_DAYS")


async def test_a_missing_binding_is_found_and_one_too_many_is_a_note(
    press: Press, stage: Stage, seeing: Mapping[str, str], channel: AbstractChannel
) -> None:
    queue = await channel.get_queue(SLOT)
    await queue.unbind("heroes.commands", "07")
    await queue.bind("heroes.commands", "7")
    (await press.run(seeing, "check")).ends(
        UNPREPARED,
        f"✗ bindings: binding heroes.commands → {SLOT} by 07 is missing\n    → run heroes setup",
        f"! bindings: binding heroes.commands → {SLOT} by 7 is not ours",
    )
    (await press.run(stage.environment(), "check")).ends(DONE, "! management: bindings")
    await queue.unbind("heroes.commands", "7")
    await prepare.prepare_broker(stage.settings())
    (await press.run(seeing, "check")).ends(DONE, "✓ bindings: ")


async def test_a_workers_user_gets_one_note_about_what_it_may_not_see(
    press: Press, stage: Stage, management: httpx.AsyncClient
) -> None:
    async with user(management, stage.rabbitmq_url, configure="^$", write=WRITE, read=READ) as url:
        said = (await press.run(stage.environment(HEROES_RABBITMQ_URL=url), "check")).ends(
            DONE, "! rights: this user may not declare, and a worker need not", "✓ rights: this user may do all"
        )
    assert said.output.count("! rights") == 1


LACKING = {
    "it may not consume queue heroes.commands.07": (WRITE, r"^heroes\.(commands(\.(?!07).*)?|queries|events\.log)$"),
    "it may not consume 17 queues (heroes.commands.00": (WRITE, r"^heroes\.queries$"),
    "it may not publish to heroes.events": (r"^(amq\.default|heroes\.dead_letters)$", READ),
    "it may not publish to heroes.dead_letters": (r"^(amq\.default|heroes\.events)$", READ),
    "it may not publish to the default exchange, for replies": (r"^heroes\.(events|dead_letters)$", READ),
}


IN_EVERY_RUN = list(LACKING)[1:3]
IN_MAKE_FAULTS = [pytest.param(told, marks=pytest.mark.fault) for told in LACKING if told not in IN_EVERY_RUN]


@pytest.mark.parametrize("told", [*IN_EVERY_RUN, *IN_MAKE_FAULTS])
async def test_each_right_that_a_workers_user_lacks_is_named(
    press: Press, stage: Stage, management: httpx.AsyncClient, told: str
) -> None:
    write, read = LACKING[told]
    async with user(management, stage.rabbitmq_url, configure="^$", write=write, read=read) as url:
        said = await press.run(stage.environment(HEROES_RABBITMQ_URL=url), "check")
    said.ends(
        UNPREPARED,
        "✗ rights: this user may not do what a worker does: ",
        told,
        "give it the rights of the worker's user",
    )
    assert said.output.count("✗") == 1


async def test_the_shipped_users_are_right_and_one_who_may_only_declare_a_part_is_not(
    press: Press, stage: Stage, management: httpx.AsyncClient
) -> None:
    async with shipped_users(management, stage.rabbitmq_url) as urls:
        setup, worker = (stage.environment(HEROES_RABBITMQ_URL=urls[role]) for role in ("setup", "worker"))
        (await press.run(worker, "check")).ends(DONE)
        (await press.run(setup, "check")).ends(
            DONE,
            "are as declared",
            "! rights: this user may prepare the broker, but not run a worker: it may not publish",
        )
        host, name = urlsplit(urls["setup"]).path[1:], urlsplit(urls["setup"]).username
        rights = {"configure": r"^heroes\.commands.*", "write": r"^heroes\.commands\.(?!07)", "read": ".*"}
        (await management.put(f"/permissions/{host}/{name}", json=rights)).raise_for_status()
        (await press.run(setup, "check")).ends(
            UNPREPARED,
            "✗ rights: this user may declare some of it, but not exchange heroes.dead_letters",
            f"✗ rights: this user may bind some of it, but not queue {SLOT}\n    → give it the rights of the setup",
        )


@pytest.mark.parametrize("pattern", ["RABBITMQ", "DATABASE"])
async def test_a_wrong_password_is_a_wrong_setting_and_is_told_at_once(
    press: Press, stage: Stage, pattern: str
) -> None:
    name = f"HEROES_{pattern}_URL"
    environment = stage.environment()
    wrong = environment | {name: environment[name].replace("@", "x@", 1)}
    (await press.run(wrong, "check")).ends(USAGE, f"{name}: ", "refuses this user and password", f"→ set {name} right")


@asynccontextmanager
async def role_with(stage: Stage, *grants: str) -> AsyncIterator[str]:
    """The URL of the database for a role that has just these rights."""
    address = urlsplit(stage.database_url)
    name = f"{address.path[1:]}_checked"
    await stage.run(
        f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'; " + "; ".join(f"{one} TO {name}" for one in grants)
    )
    try:
        yield address._replace(netloc=f"{quote(name)}:{PASSWORD}@{address.hostname}:{address.port}").geturl()
    finally:
        await stage.run(f"DROP OWNED BY {name}; DROP ROLE {name}")


async def test_each_right_that_a_role_lacks_is_named(press: Press, stage: Stage) -> None:
    every = "GRANT SELECT, INSERT, UPDATE, DELETE ON hero, suspect, alembic_version"
    async with role_with(stage, every, "GRANT SELECT, UPDATE ON inbox") as url:
        said = await press.run(stage.environment(HEROES_DATABASE_URL=url), "check")
    said.ends(UNPREPARED, "✗ rights: this role may not INSERT, DELETE on table inbox", "docs/security.md")
    assert said.output.count("✗") == 1
    async with role_with(stage, every, "GRANT SELECT, INSERT, UPDATE, DELETE ON inbox") as url:
        (await press.run(stage.environment(HEROES_DATABASE_URL=url), "check")).ends(DONE)


async def test_an_older_schema_is_told(press: Press, stage: Stage) -> None:
    (before,) = await stage.rows("SELECT version_num FROM alembic_version")
    await stage.run("UPDATE alembic_version SET version_num = '0000'")
    try:
        (await press.run(stage.environment(), "check")).ends(
            UNPREPARED, "✗ tables: the tables are at revision 0000, this worker needs ", "→ run heroes setup"
        )
    finally:
        await stage.rows("UPDATE alembic_version SET version_num = $1", before["version_num"])


@pytest.mark.parametrize(
    ("setting", "code", "told"),
    [
        ("default_transaction_read_only = on", UNREACHABLE, "✗ database: it takes no writes"),
        pytest.param(
            "synchronous_commit = off", UNPREPARED, "✗ database: synchronous_commit is off", marks=pytest.mark.fault
        ),
    ],
)
async def test_a_database_that_breaks_the_promise_is_told(
    press: Press, stage: Stage, setting: str, code: int, told: str
) -> None:
    name = urlsplit(stage.database_url).path[1:]
    await stage.run(f'ALTER DATABASE "{name}" SET {setting}')
    try:
        (await press.run(stage.environment(), "check")).ends(code, told)
    finally:
        reset = f'ALTER DATABASE "{name}" RESET {setting.split(maxsplit=1)[0]}'
        await stage.run(f"SET transaction_read_only = off; {reset}")


@pytest.mark.parametrize(
    ("seconds", "code", "told"),
    [
        pytest.param(4, DONE, "✓ clock", marks=pytest.mark.fault),
        (-30, DONE, "! clock: the database's clock is 30 s ahead of this machine's"),
        (90, UNPREPARED, "✗ clock: the database's clock is 90 s behind this machine's"),
    ],
)
async def test_clocks_that_are_apart_are_told(press: Press, stage: Stage, seconds: int, code: int, told: str) -> None:
    """This machine's clock is put wrong for the program alone."""
    wrong = f"import time; right = time.time; time.time = lambda: right() + {seconds}"
    (await press.run(stage.environment(), "check", before=wrong)).ends(code, told)


@contextmanager
def mute() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize("name", ["HEROES_RABBITMQ_URL", "HEROES_DATABASE_URL"])
async def test_what_is_away_is_told_soon_and_the_other_is_still_looked_at(
    press: Press, stage: Stage, name: str
) -> None:
    """Whatever `STARTUP_TIMEOUT_SECONDS` says, and also where somebody listens and does not answer."""
    well = {"HEROES_RABBITMQ_URL": "✓ tables", "HEROES_DATABASE_URL": "✓ topology"}[name]
    with mute() as port:
        for wrong in (NOWHERE[name], NOWHERE[name].replace(":1/", f":{port}/")):
            environment = stage.environment(HEROES_STARTUP_TIMEOUT_SECONDS="60", **{name: wrong})
            began = monotonic()
            said = await press.run(environment, "check", "--wait", "0.5")
            assert monotonic() - began < 5
            said.ends(UNREACHABLE, "did not answer within 0.5 s", "→ is it running, and is " + name, well)
            assert '"event"' not in said.output


@pytest.mark.fault
async def test_the_log_is_there_for_who_asks(press: Press, stage: Stage) -> None:
    said = await press.run(stage.environment(**NOWHERE), "check", "--wait", "0.1", "--log")
    said.ends(UNREACHABLE, '"event"')


async def test_a_variable_that_means_nothing_is_a_note(press: Press, stage: Stage) -> None:
    said = await press.run(stage.environment(HEROES_PREFECH="3"), "check")
    said.ends(DONE, "! settings: HEROES_PREFECH is no setting of the worker and is ignored")


@pytest.mark.fault  # the API learns of a policy after five seconds or ten
async def test_policies_that_would_lose_or_refuse_messages_are_told(
    press: Press, stage: Stage, seeing: Mapping[str, str], management: httpx.AsyncClient, channel: AbstractChannel
) -> None:
    host, queue = urlsplit(stage.rabbitmq_url).path[1:], "heroes.events.shop"
    declared: dict[str, Any] = {"x-queue-type": "quorum", "x-overflow": "reject-publish"}  # as docs/wire.md has it
    await channel.declare_queue(queue, durable=True, arguments=declared)
    shipped = {"pattern": r"^heroes\.events\.shop$", "definition": definitions()["policies"][0]["definition"]}
    policies = {
        "full": {"pattern": r"^heroes\.events\.shop$", "definition": {"max-length": 9, "overflow": "reject-publish"}},
        "short": {"pattern": rf"^{SLOT}$", "definition": {"message-ttl": 9}},
    }

    await management.delete(f"/policies/{host}/heroes-consumers")  # the shipped one, from another test

    async def says(code: int, *told: str, not_told: str | None = None) -> None:
        async def it_does() -> bool:
            said = await press.run(seeing, "check")
            silent = not_told is None or not_told not in said.output
            return said.code == code and silent and all(one in said.output for one in told)

        await eventually(it_does, f"{code}: {told}")

    growing = f"! policies: nothing keeps queue {queue} from growing"
    await says(DONE, growing)
    await management.put(f"/policies/{host}/shipped", json={**shipped, "apply-to": "queues"})
    await says(DONE, not_told="policies:")
    await management.delete(f"/policies/{host}/shipped")
    for name, policy in policies.items():
        await management.put(f"/policies/{host}/{name}", json={**policy, "apply-to": "queues"})
    refuses = f"✗ policies: queue {queue} refuses what comes when it is full"
    await says(UNPREPARED, refuses, f"✗ policies: a policy sets message-ttl for queue {SLOT}")
    for name in policies:
        await management.delete(f"/policies/{host}/{name}")
    await channel.queue_delete(queue)
    await says(DONE)


async def test_it_takes_nothing_and_changes_nothing_and_tells_what_waits(
    press: Press, stage: Stage, management: httpx.AsyncClient, channel: AbstractChannel
) -> None:
    host = urlsplit(stage.rabbitmq_url).path[1:]
    names = (SLOT, LETTERS, "heroes.queries", LOG)

    async def declared() -> set[tuple[object, ...]]:
        told = [(await management.get(f"/{what}/{host}")).json() for what in ("bindings", "exchanges", "queues")]
        kept = "name", "source", "destination", "routing_key"
        return {tuple(one.get(key) for key in kept) for part in told for one in part}

    for name in names:
        await channel.default_exchange.publish(aio_pika.Message(b"waits", delivery_mode=2), name)
    before = await declared()
    async with shipped_users(management, stage.rabbitmq_url) as urls:
        for url in (stage.rabbitmq_url, urls["setup"], urls["worker"]):
            said = await press.run(stage.environment(HEROES_RABBITMQ_URL=url), "check")
            said.ends(
                DONE,
                f"! waiting commands: 1 in queue {SLOT}, and nobody takes them",
                "! dead letters: 1 in the queue, for a person",
            )
    assert await declared() == before
    for name in names[:3]:
        told = (await channel.declare_queue(name, passive=True)).declaration_result
        assert (told.message_count, told.consumer_count) == (1, 0)
        async with (await channel.get_queue(name)).iterator(no_ack=True) as messages:
            assert not (await anext(messages)).redelivered
    log = (await management.get(f"/queues/{host}/{quote(LOG)}")).json()
    assert log.get("messages", 1) <= 1


@pytest.mark.fault
@pytest.mark.parametrize("alarm", ALARMS)
async def test_an_alarm_of_the_broker_is_told(press: Press, stage: Stage, alarm: str) -> None:
    """Over AMQP that nobody may publish; by the management API why."""
    with own_rabbitmq() as broker:
        async with connected(broker.url, within_seconds=30) as connection:
            await topology.declare(connection, 7)
        environment = stage.environment(HEROES_RABBITMQ_URL=broker.url)
        (await press.run(environment, "check")).ends(DONE)
        async with ALARMS[alarm](broker):
            environment["HEROES_RABBITMQ_MANAGEMENT_URL"] = broker.management_url

            async def is_told() -> Said | None:
                said = await press.run(environment, "check")
                told = "✗ publishing: the broker takes no publication" in said.output
                return said if told and f"the {alarm} is on" in said.output else None

            await eventually(is_told, "the alarm is told")
            (await press.run(environment, "check")).ends(UNREACHABLE)
