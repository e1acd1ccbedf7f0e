"""When nobody answers, the broker refuses or the connection breaks, the client loses nothing and says what it knows."""

import asyncio
import gc
from collections.abc import Iterator

import aio_pika
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractIncomingMessage

from contracts.channels import command_queues
from contracts.client import HeroesClient, NotConfirmedError, OutcomeTimeoutError, QueryFailedError
from tests.harness.cable import Cable
from tests.harness.commands import create
from tests.harness.stage import Stage, eventually
from tests.harness.users import management_of, user
from worker.app import Worker
from worker.local import Services
from worker.messaging import topology


@pytest.fixture
def idle_url(services: Services) -> Iterator[str]:
    """A virtual host with nothing in it, and nobody at work."""
    with services.virtual_host("idle") as url:
        yield url


@pytest_asyncio.fixture(loop_scope="session")
async def idle(idle_url: str) -> str:
    """The same with the topology in it."""
    async with await aio_pika.connect(idle_url) as connection:
        await topology.declare(connection, 0)
    return idle_url


async def test_a_sent_command_is_with_the_broker(idle: str) -> None:
    command = create()
    async with HeroesClient(idle) as client:
        await client.send(command)
    async with await aio_pika.connect(idle) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(f"heroes.commands.{command.routing_key}", passive=True)
    assert queue.declaration_result.message_count == 1


async def test_a_call_that_nobody_answers_tells_the_id_to_send_again(idle: str) -> None:
    command = create()
    async with HeroesClient(idle, timeout_seconds=0.3) as client:
        with pytest.raises(OutcomeTimeoutError, match=command.id) as missed:
            await client.call(command)
    assert missed.value.command_id == command.id


async def test_a_call_that_was_given_up_leaves_the_client_in_order(idle: str) -> None:
    async with HeroesClient(idle, timeout_seconds=20) as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.call(create()), 0.2)
        await client.send(create())


async def test_a_command_without_an_exchange_is_not_confirmed(idle_url: str) -> None:
    command = create()
    async with HeroesClient(idle_url, timeout_seconds=5) as client:
        with pytest.raises(NotConfirmedError, match=command.id):
            await client.call(command)


async def test_a_command_that_no_queue_takes_is_not_confirmed(idle_url: str) -> None:
    command = create()
    async with await aio_pika.connect(idle_url) as connection:
        await (await connection.channel()).declare_exchange("heroes.commands", "direct", durable=True)
    async with HeroesClient(idle_url, timeout_seconds=5) as client:
        with pytest.raises(NotConfirmedError, match=command.id):
            await client.send(command)


async def test_after_a_refusal_the_same_client_sends_the_same_command_again(idle_url: str) -> None:
    """That is what the error tells its caller to do."""
    command = create()
    async with HeroesClient(idle_url, timeout_seconds=5) as client:
        with pytest.raises(NotConfirmedError):
            await client.send(command)
        async with await aio_pika.connect(idle_url) as connection:
            await topology.declare(connection, 0)
        await client.send(command)


async def test_commands_under_way_when_the_connection_breaks_are_sent_again_with_the_same_ids(idle: str) -> None:
    """They may or may not be with the broker already; twice does no harm."""
    commands = [create() for _ in range(300)]
    async with Cable.to(idle) as cable, HeroesClient(cable.url, timeout_seconds=20) as client:
        sending = [asyncio.ensure_future(client.send(command)) for command in commands[:200]]
        await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
        cable.hold()  # so that some are under way when it is cut
        sending += [asyncio.ensure_future(client.send(command)) for command in commands[200:]]
        await asyncio.sleep(0)
        cable.cut()
        cable.release()
        assert any(not one.done() for one in sending)
        await asyncio.gather(*sending)
    assert await _bodies(idle) >= {command.to_json() for command in commands}


async def _bodies(url: str) -> set[bytes]:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        found: set[bytes] = set()

        async def keep(message: AbstractIncomingMessage) -> None:
            found.add(message.body)

        counts = []
        for name in command_queues():
            queue = await channel.declare_queue(name, passive=True)
            counts.append(queue.declaration_result.message_count or 0)
            await queue.consume(keep, no_ack=True)

        async def all_came() -> bool:
            return len(found) >= 300

        await eventually(all_came, "every command")
    return found


async def test_calls_whose_connection_breaks_before_the_outcome_came_get_it_all_the_same(
    stage: Stage, worker: Worker
) -> None:
    async with Cable.to(stage.rabbitmq_url) as cable, HeroesClient(cable.url, timeout_seconds=30) as client:
        calls = [asyncio.ensure_future(client.create(name=f"cut {n}", secret_name="s")) for n in range(300)]
        for cuts in range(1, 4):
            await asyncio.wait(calls[: cuts * 50], return_when=asyncio.ALL_COMPLETED)
            cable.cut()
        events = await asyncio.gather(*calls)
    assert [event.data.hero.name for event in events] == [f"cut {n}" for n in range(300)]
    rows = await stage.rows("SELECT name FROM hero WHERE name LIKE 'cut %'")
    assert len(rows) == 300


async def test_a_blocked_broker_is_a_clear_error_in_time(idle: str) -> None:
    command = create()
    async with Cable.to(idle) as cable, HeroesClient(cable.url, timeout_seconds=1) as client:
        cable.swallow()
        with pytest.raises(NotConfirmedError, match=f"command {command.id} was not confirmed") as late:
            await client.send(command)
    assert late.value.command_id == command.id


async def test_a_call_that_the_broker_never_took_says_that_and_not_that_no_outcome_came(idle: str) -> None:
    async with Cable.to(idle) as cable, HeroesClient(cable.url, timeout_seconds=1) as client:
        cable.swallow()
        with pytest.raises(NotConfirmedError):
            await client.call(create())


async def test_a_message_that_the_broker_does_not_take_from_this_user_is_refused_at_once(
    services: Services, idle: str
) -> None:
    """Connecting again and again would not help, and would last until the time is over."""
    async with (
        management_of(services) as management,
        user(management, idle, configure=".*", write="^$") as url,
        HeroesClient(url, timeout_seconds=60) as client,
        asyncio.timeout(10),
    ):
        with pytest.raises(NotConfirmedError, match="ChannelAccessRefused"):
            await client.send(create())
        with pytest.raises(QueryFailedError, match="ChannelAccessRefused"):
            await client.get(1)


async def test_an_unknown_broker_is_a_connection_error() -> None:
    with pytest.raises(ConnectionError):
        async with HeroesClient("amqp://127.0.0.1:1/"):
            pytest.fail("was let in")
    gc.collect()  # while the loop runs: the AMQP client closes what never was from its `__del__`
