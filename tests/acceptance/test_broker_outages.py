"""Whatever happens to RabbitMQ or on the way there: the worker comes back, and every command took effect once."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from contracts.channels import COMMANDS, command_queues
from tests.harness.broker_outages import (
    ALARMS,
    OUTAGES,
    QUICK_HEARTBEAT,
    Outage,
    closed_politely,
    own_rabbitmq,
    several,
    turns,
)
from tests.harness.cable import Cable
from tests.harness.recorder import Recorder
from tests.harness.stage import Stage, eventually
from tests.harness.workers import tidy_worker
from worker.app import Worker
from worker.documents import EventDocument
from worker.errors import PublishNotConfirmedError
from worker.local.rabbitmq import PrivateRabbitMQ
from worker.local.services import Services
from worker.operations import prepare


def _marked(names: Iterable[str], *, always: str) -> list[Any]:
    return [pytest.param(name, marks=() if name == always else pytest.mark.fault) for name in names]


@pytest.fixture(scope="module")
def broker() -> Iterator[PrivateRabbitMQ]:
    """A RabbitMQ that nobody else uses and that can be killed."""
    with own_rabbitmq() as broker:
        yield broker


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(services: Services, broker: PrivateRabbitMQ) -> AsyncIterator[Stage]:
    """The tables in the common database, the topology in that broker."""
    with services.database("outages") as database_url:
        stage = Stage(broker.url, database_url)
        await asyncio.gather(prepare.prepare_database(stage.settings()), prepare.prepare_broker(stage.settings()))
        yield stage


async def _survives(stage: Stage, recorder: Recorder, broker: PrivateRabbitMQ, outage: Outage) -> None:
    """Commands are under way when it begins, and come again when it is over."""
    before, after = several("Before"), several("After", 50)
    quick = replace(stage, rabbitmq_url=stage.rabbitmq_url + QUICK_HEARTBEAT)
    async with tidy_worker(quick, publish_timeout_seconds=2) as worker:
        await recorder.send(before)
        async with outage(broker):
            await turns(worker, ready=False)
        await turns(worker, ready=True)
        await recorder.send(after)
        await recorder.all_published([*before, *after])
    await recorder.assert_one_event_each([*before, *after])


# What is not tried in every run is tried by `make faults`.
@pytest.mark.parametrize("name", _marked(OUTAGES, always="frozen"))
async def test_a_broker_that_was_away_is_found_again(
    name: str, stage: Stage, recorder: Recorder, broker: PrivateRabbitMQ
) -> None:
    await _survives(stage, recorder, broker, OUTAGES[name])


@pytest.mark.parametrize("name", _marked(ALARMS, always="memory alarm"))
async def test_during_an_alarm_publishing_waits_and_readiness_says_so(
    name: str, stage: Stage, recorder: Recorder, broker: PrivateRabbitMQ
) -> None:
    before, after = several("Alarm"), several("Over", 50)
    await recorder.send(before)
    async with AsyncExitStack() as alarm:
        await alarm.enter_async_context(ALARMS[name](broker))
        async with tidy_worker(stage, publish_timeout_seconds=2) as worker:
            await turns(worker, ready=False)
            assert (await worker.problems())["commands"] is None, "it still consumes"
            await alarm.aclose()
            await turns(worker, ready=True)
            await recorder.send(after)
            await recorder.all_published([*before, *after])
    await recorder.assert_one_event_each([*before, *after])


async def test_connections_closed_politely_are_opened_again(
    stage: Stage, recorder: Recorder, broker: PrivateRabbitMQ
) -> None:
    commands = several("Polite")
    async with tidy_worker(stage) as worker:
        for start in range(0, len(commands), 50):
            await recorder.send(commands[start : start + 50])
            async with closed_politely(broker):
                await turns(worker, ready=True)
        await recorder.all_published(commands)
    await recorder.assert_one_event_each(commands)


async def test_after_every_cut_each_queue_has_one_consumer_of_this_worker_and_no_other(
    stage: Stage, recorder: Recorder, broker: PrivateRabbitMQ
) -> None:
    """On a way that takes its time, the client's own recovery and ours meet in the middle of each other's steps."""
    commands = several("Cut")
    async with Cable.to(stage.rabbitmq_url) as cable, _beyond(cable, stage, QUICK_HEARTBEAT) as worker:
        cable.latency_seconds = 0.005
        for start in range(0, len(commands), 25):
            await recorder.send(commands[start : start + 25])
            cable.cut()
            await turns(worker, ready=True)
        await recorder.all_published(commands)
        said = await asyncio.to_thread(broker.control, "list_consumers", "-p", "heroes", "-q", "queue_name")
    consumed = [line.strip() for line in said.splitlines() if line.startswith(f"{COMMANDS}.")]
    assert sorted(consumed) == sorted(command_queues())
    await recorder.assert_one_event_each(commands)


def _beyond(
    cable: Cable, stage: Stage, heartbeat: str, publish_timeout_seconds: float = 10
) -> AbstractAsyncContextManager[Worker]:
    through = replace(stage, rabbitmq_url=cable.url + heartbeat)
    return tidy_worker(through, publish_timeout_seconds=publish_timeout_seconds)


async def test_a_connection_that_is_lost_while_an_alarm_blocks_it_comes_back_and_when_it_is_lost_again_too(
    stage: Stage, recorder: Recorder, broker: PrivateRabbitMQ
) -> None:
    """A channel that the client itself opens again would wait for the blocked connection for ever, and at the next loss
    nobody would connect any more.
    """
    commands = several("Lost twice", 50)
    async with Cable.to(stage.rabbitmq_url) as cable, _beyond(cable, stage, QUICK_HEARTBEAT, 2) as worker:
        await worker.pipeline.replies._channel.ready()  # an idle one, beside that of the events
        async with ALARMS["memory alarm"](broker):
            with pytest.raises(PublishNotConfirmedError):
                await worker.pipeline.events.publish([EventDocument.of({"id": "blocked", "type": "hero.created"})])
            cable.cut()
        await turns(worker, ready=True)
        cable.cut()
        await recorder.send(commands)
        await recorder.all_published(commands)
        await turns(worker, ready=True)
    await recorder.assert_one_event_each(commands)


async def test_a_deleted_queue_holds_up_no_other_and_is_consumed_again_when_it_is_back(
    stage: Stage, recorder: Recorder, broker: PrivateRabbitMQ
) -> None:
    gone = command_queues()[3]
    commands = [command for command in several("Deleted") if f"{COMMANDS}.{command.routing_key}" != gone]
    async with tidy_worker(stage) as worker:
        await asyncio.to_thread(broker.control, "delete_queue", "-p", "heroes", gone)

        # RabbitMQ 4.3 ends the whole connection (541) of who consumes a queue while it is being deleted: then all are
        # lost for a second, and only afterwards is it the deleted one alone.
        async def is_missed() -> bool:
            return gone in str((await worker.problems())["commands"])

        await eventually(is_missed, "the worker says which queue is gone", within_seconds=30)
        await recorder.send(commands)
        await recorder.all_published(commands)
        async with closed_politely(broker):  # also after a new connection the missing one keeps nobody from work
            more = [command for command in several("More", 50) if f"{COMMANDS}.{command.routing_key}" != gone]
            await recorder.send(more)
            await recorder.all_published(more)
        await prepare.prepare_broker(stage.settings())
        await turns(worker, ready=True)
        late = several("Late", 100)
        await recorder.send(late)
        await recorder.all_published(late)
    await recorder.assert_one_event_each([*commands, *more, *late])
