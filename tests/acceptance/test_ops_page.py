"""The page for eyes tells of a real worker what is so: well, with dead letters, without its database or its broker."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from html import unescape
from time import perf_counter
from typing import Any

import aio_pika
import httpx
import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.channels import DEAD_LETTERS, QUERIES, command_queues
from tests.harness.cable import Cable
from tests.harness.commands import create, raw_create
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire
from tests.harness.workers import tidy_worker
from worker.app import running_worker
from worker.local.probes import free_ports
from worker.ours import OURS
from worker.outcomes import Handled

SOON_SECONDS = 4.5  # the server itself gives a page up after 5


@dataclass(frozen=True, slots=True)
class Eyes:
    """Whoever looks at the page."""

    url: str
    client: httpx.AsyncClient

    async def see(self) -> str:
        """The page as text, on one line; it never takes long."""
        began = perf_counter()
        answer = await self.client.get(f"{self.url}/ops")
        assert perf_counter() - began < SOON_SECONDS
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        body = answer.text.partition("<body>")[2]
        return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body))).replace("\N{MULTIPLICATION SIGN}", "x")

    def sees(self, *words: str) -> Callable[[], Awaitable[bool]]:
        """All of these words stand there."""

        async def seen() -> bool:
            text = await self.see()
            return all(word in text for word in words)

        return seen

    def matches(self, pattern: str) -> Callable[[], Awaitable[bool]]:
        """Something like this stands there."""

        async def seen() -> bool:
            return re.search(pattern, await self.see()) is not None

        return seen


@pytest.fixture
def port() -> int:
    (free,) = free_ports(1)
    return free


@asynccontextmanager
async def eyes_on(port: int) -> AsyncIterator[Eyes]:
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        yield Eyes(f"http://127.0.0.1:{port}", client)


@pytest_asyncio.fixture(loop_scope="session")
async def eyes(port: int) -> AsyncIterator[Eyes]:
    async with eyes_on(port) as looking:
        yield looking


async def test_a_worker_that_is_well_says_so_and_shows_each_queue_with_its_numbers(
    stage: Stage, port: int, eyes: Eyes
) -> None:
    async with tidy_worker(stage, http_port=port, worker_id="worker-7"):
        await eventually(eyes.sees("✓ All is well: commands are taken"), "all is well")
        text = await eyes.see()
        assert "worker-7 · version" in text
        assert "✓ open commands go through" in text
        for name in (*command_queues(), QUERIES):
            assert re.search(rf"{_spread(name)} 0 [0-] 1 here", text), name
        assert re.search(rf"{_spread(DEAD_LETTERS)} 0 - 0 ", text)
        assert "This worker itself has set none aside" in text


async def test_dead_letters_are_grouped_and_rates_counted_with_what_the_broker_holds(
    stage: Stage, port: int, eyes: Eyes
) -> None:
    async with tidy_worker(stage, http_port=port), await aio_pika.connect(stage.rabbitmq_url) as connection:
        channel = await connection.channel()
        wrong = [raw_create(data={"<b>": number}) for number in range(3)]
        unknown = raw_create(type='hero.<script>alert("1")</script>')
        exchange = await channel.get_exchange("heroes.commands")
        bodies = [*(json.dumps(document).encode() for document in (*wrong, unknown)), create().to_json(), b"\xff"]
        for body in bodies:
            await exchange.publish(aio_pika.Message(body), "03")
        await eventually(eyes.sees("look at dead letters", "5 wait for a person"), "five letters wait")
        text = await eyes.see()
        assert "Below are the last 5 that this worker itself has set aside" in text
        assert "3 x invalid_command · hero.create" in text
        assert "1 x invalid_command · type not readable" in text
        assert '1 x unknown_type · hero.<script>alert("1")</script>' in text
        assert "heroes dead-letters list --ids --reason invalid_command --type hero.create" in text
        assert f"heroes dead-letters show {wrong[-1]['id']}" in text
        assert "heroes dead-letters list --ids --reason unknown_type" in text
        assert "heroes dead-letters replay" not in text  # it would be about letters of other types, too
        assert re.search(r"hero\.create applied \S+/s \S+/s 1 ", text)
        assert "nobody knows" not in text
        queue = await channel.get_queue(DEAD_LETTERS)
        await queue.purge()
        await eventually(eyes.sees("All is well", "some may be handled by now"), "nothing waits any more")


async def test_a_queue_of_which_more_waits_than_is_taken_is_seen_with_its_numbers(
    stage: Stage, wire: Wire, port: int, eyes: Eyes
) -> None:
    let_go = asyncio.Event()

    async def held(session: AsyncSession, data: Any) -> Handled:
        await let_go.wait()
        return await OURS.handlers["hero.create"](session, data)

    entity = replace(OURS, handlers={**OURS.handlers, "hero.create": held})
    async with tidy_worker(stage, entity, http_port=port, prefetch=2):
        commands = [create() for _ in range(5)]
        for command in commands:
            await wire.publish(command.to_json(), "03")
        queue = command_queues()[3]
        await eventually(eyes.matches(rf"{_spread(queue)} 3 ! full 2 1 here"), "three wait, two are in hand")
        await eventually(eyes.sees("look at full", f"in hand from {queue}"), "the verdict names it")
        let_go.set()
        for command in commands:
            await wire.events_of(command.id)
        await eventually(eyes.matches(rf"{_spread(queue)} 0 0 1 here"), "nothing waits any more")


async def test_while_the_database_is_away_the_page_names_it_and_what_is_closed(
    stage: Stage, wire: Wire, port: int, eyes: Eyes
) -> None:
    async with Cable.to(stage.database_url) as cable:
        beyond = replace(stage, database_url=cable.url)
        async with tidy_worker(beyond, http_port=port):
            await eventually(eyes.sees("All is well"), "all is well")
            cable.doors.extend([False] * 1000)
            cable.cut()
            command = create()
            await wire.send(command)
            await eventually(eyes.sees("Not ready: database and gate", "✗ closed for"), "the database is named")
            await eventually(eyes.matches(" in hand 1, 0 of them wait"), "the command waits")
            cable.doors.clear()
            await wire.events_of(command.id)
            await eventually(eyes.sees("All is well", "Closed for"), "all is well again")


async def test_while_the_broker_is_away_the_page_comes_all_the_same(stage: Stage, port: int, eyes: Eyes) -> None:
    async with Cable.to(stage.rabbitmq_url) as cable:
        beyond = replace(stage, rabbitmq_url=cable.url)
        async with running_worker(beyond.settings(http_port=port, shutdown_timeout_seconds=2)):
            await eventually(eyes.sees("All is well"), "all is well")
            cable.hold()  # first it hangs
            await eventually(eyes.sees("! not known RabbitMQ has not answered for"), "not known, and the page came")
            cable.doors.extend([False] * 1000)
            cable.cut()
            cable.release()
            await eventually(eyes.sees("Not ready: publishing", "! not known RabbitMQ"), "the broker is named")
            text = await eyes.see()
            assert "✗ not here" in text
            assert "How many wait is not known" in text
            assert "✓ open" in text or "✗ closed" in text


async def test_nothing_can_be_asked_of_it_but_to_be_seen(stage: Stage, port: int, eyes: Eyes) -> None:
    async with tidy_worker(stage, http_port=port):
        for method in ("POST", "PUT", "DELETE"):
            assert (await eyes.client.request(method, f"{eyes.url}/ops")).status_code == 405
        head = await eyes.client.head(f"{eyes.url}/ops")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["x-content-type-options"] == "nosniff"
        assert head.headers["cache-control"] == "no-store"
        assert "http-equiv" not in (await eyes.client.get(f"{eyes.url}/ops?refresh=off")).text


def _spread(queue: str) -> str:
    """A queue's name as it stands in the page's text, whose first part is an element of its own."""
    space, dot, name = queue.partition(".")
    return rf"{space}{re.escape(dot)} {re.escape(name)}"
