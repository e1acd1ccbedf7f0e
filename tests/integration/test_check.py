"""`heroes check` on real services says what it found, also of what is away, and takes nothing and changes nothing."""

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from urllib.parse import quote, urlsplit

import aio_pika
import httpx
import pytest
from aio_pika.abc import AbstractChannel

from tests.harness.press import DONE, UNREACHABLE, Press
from tests.harness.shipped import shipped_users
from tests.harness.stage import Stage
from worker.messaging.connection import connected, server_version

NOWHERE = {
    "HEROES_RABBITMQ_URL": "amqp://ann:Zx9Qk7-password@127.0.0.1:1/v",
    "HEROES_DATABASE_URL": "postgresql+asyncpg://ann:Zx9Qk7-password@127.0.0.1:1/d",
}
SLOT, LETTERS, LOG = "heroes.commands.07", "heroes.dead_letters", "heroes.events.log"


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
