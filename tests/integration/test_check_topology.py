"""`heroes check` names each queue, exchange and binding that is missing or other than it should be, and an alarm."""

from collections.abc import Mapping

import pytest
from aio_pika.abc import AbstractChannel

from tests.harness.broker_outages import ALARMS, own_rabbitmq
from tests.harness.press import DONE, UNPREPARED, UNREACHABLE, Press, Said
from tests.harness.stage import Stage, eventually
from worker.messaging import topology
from worker.messaging.connection import connected
from worker.operations import prepare

SLOT, LOG = "heroes.commands.07", "heroes.events.log"


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
        ")\n    → delete it once it is empty, then run heroes setup again",
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
