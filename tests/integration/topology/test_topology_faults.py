"""What a broker lacks, has otherwise or does not allow this user is named, with what to do about it."""

import httpx
import pytest
from aio_pika.abc import AbstractConnection

from tests.harness.declared import COMMAND_ARGUMENTS, DAYS, faults
from tests.harness.users import user
from worker.errors import ExitCode, TopologyError
from worker.messaging import topology
from worker.messaging.connection import connected


async def test_what_is_missing_is_named(connection: AbstractConnection) -> None:
    nothing = await topology.missing(connection, DAYS)
    assert {"exchange heroes.commands", "queue heroes.commands.00", "queue heroes.events.log"} <= set(nothing)
    await topology.declare(connection, DAYS)
    assert await topology.missing(connection, DAYS) == []
    channel = await connection.channel()
    await channel.queue_delete("heroes.commands.07")
    await channel.exchange_delete("heroes.queries")
    assert await topology.missing(connection, DAYS) == ["exchange heroes.queries", "queue heroes.commands.07"]


async def test_every_fault_is_told_also_of_a_queue_whose_exchange_is_gone(connection: AbstractConnection) -> None:
    await topology.declare(connection, DAYS)
    channel = await connection.channel()
    await channel.queue_delete("heroes.commands.07")
    await channel.exchange_delete("heroes.queries")
    found = await faults(connection)
    assert "queue heroes.commands.07 is missing" in found
    assert "exchange heroes.queries is missing" in found


async def test_a_queue_with_other_arguments_is_named_with_what_to_do(connection: AbstractConnection) -> None:
    await topology.declare(connection, DAYS)
    channel = await connection.channel()
    await channel.queue_delete("heroes.commands.03")
    wrong = {**COMMAND_ARGUMENTS, "x-delivery-limit": 5}
    await channel.declare_queue("heroes.commands.03", durable=True, arguments=wrong)
    with pytest.raises(TopologyError, match=r"queue heroes\.commands\.03 is there, but not as it should be") as refused:
        await topology.declare(connection, DAYS)
    assert "delete it once it is empty, then run heroes setup again" in str(refused.value)
    assert refused.value.exit_code is ExitCode.UNPREPARED
    (fault,) = await faults(connection)
    assert fault == str(refused.value)


async def test_an_exchange_of_another_kind_is_named(connection: AbstractConnection) -> None:
    channel = await connection.channel()
    await channel.declare_exchange("heroes.commands", "fanout", durable=True)
    with pytest.raises(TopologyError, match=r"exchange heroes\.commands is there, but not as it should be"):
        await topology.declare(connection, DAYS)


async def test_an_event_log_of_another_age_says_which_setting_mends_it(connection: AbstractConnection) -> None:
    await topology.declare(connection, DAYS)
    with pytest.raises(TopologyError, match=r"queue heroes\.events\.log is there") as refused:
        await topology.declare(connection, 8)
    assert "HEROES_EVENT_LOG_RETENTION_DAYS" in str(refused.value)
    assert "delete it once it is empty" not in str(refused.value)
    assert await topology.missing(connection, 8) == []


async def test_a_user_who_may_not_declare_is_told_so(management: httpx.AsyncClient, url: str) -> None:
    async with user(management, url, configure="^$") as theirs, connected(theirs, within_seconds=5) as connection:
        with pytest.raises(TopologyError, match="this user may not declare it: run this as the user who may"):
            await topology.declare(connection, DAYS)


async def test_a_user_who_may_only_work_sees_what_is_missing(
    management: httpx.AsyncClient, url: str, connection: AbstractConnection
) -> None:
    """The worker runs without the right to declare."""
    await topology.declare(connection, DAYS)
    async with user(management, url, configure="^$") as theirs, connected(theirs, within_seconds=5) as own:
        assert await topology.missing(own, DAYS) == []
        await (await connection.channel()).queue_delete("heroes.commands.02")
        assert await topology.missing(own, DAYS) == ["queue heroes.commands.02"]
