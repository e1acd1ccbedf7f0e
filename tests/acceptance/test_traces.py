"""With tracing, publisher, worker and consumer are one trace; without it, a command's own trace is carried on."""

import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy.ext.asyncio import AsyncSession

from tests.harness.commands import create, delete
from tests.harness.stage import Stage, eventually
from tests.harness.traces import Traces, named
from tests.harness.wire import Wire, document
from tests.harness.workers import tidy_worker
from worker.messaging.decode import traits_of
from worker.ours import OURS
from worker.outcomes import Handled
from worker.retry import Backoff, RetryPolicy
from worker.watch import Sighting

SECRET = "Zx9-secret-Qk7"
HASTY = RetryPolicy(refused=Backoff(2, 0.01), bug=Backoff(2, 0.01), away=Backoff(2, 0.01))


async def _quoting(session: AsyncSession, data: Any) -> Handled:
    if data.name == SECRET:
        raise ValueError(f"no hero may be called {data.secret_name}")
    return await OURS.handlers["hero.create"](session, data)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def traces(stage: Stage) -> AsyncIterator[Traces]:
    """A worker whose spans are kept."""
    kept = Traces.fresh()
    entity = replace(OURS, handlers={**OURS.handlers, "hero.create": _quoting}, retry=HASTY)
    async with tidy_worker(stage, entity, kept.observed()):
        yield kept


async def test_publisher_worker_and_consumer_are_one_trace(traces: Traces, wire: Wire) -> None:
    tracer = traces.provider.get_tracer("shop")
    publisher = tracer.start_span("order")
    command = create(traceparent=named(publisher), tracestate="vendor=x")
    publisher.end()
    event = await wire.outcome(command)
    (process,) = await traces.of(command.id)
    children = traces.below(process)

    assert process.parent is not None
    assert process.parent.span_id == publisher.get_span_context().span_id
    assert event["traceparent"] == named(process)
    assert event["tracestate"] == "vendor=x"
    (message,) = await wire.event_messages_of(command.id)
    assert message.headers["traceparent"] == named(process)
    assert set(children) == {"transaction", "send heroes.events"}
    assert {one.context.trace_id for one in (process, *children.values())} == {publisher.get_span_context().trace_id}


async def test_a_span_has_the_name_and_attributes_of_the_conventions(traces: Traces, wire: Wire) -> None:
    command = create(correlationid="order 66")
    await wire.outcome(command)
    (process,) = await traces.of(command.id)
    children = traces.below(process)
    queue = f"heroes.commands.{command.routing_key}"
    assert (process.name, process.kind) == (f"process {queue}", SpanKind.CONSUMER)
    assert process.parent is None
    assert dict(process.attributes or {}) == {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": queue,
        "messaging.message.id": command.id,
        "messaging.message.conversation_id": "order 66",
        "messaging.message.body.size": len(command.to_json()),
        "worker.command.type": "hero.create",
        "worker.outcome": "applied",
        "worker.duplicate": False,
    }
    assert process.status.status_code is StatusCode.UNSET
    send = children["send heroes.events"]
    assert send.kind is SpanKind.PRODUCER
    assert (send.attributes or {})["messaging.destination.name"] == "heroes.events"
    assert children["transaction"].kind is SpanKind.CLIENT


async def test_a_repeat_is_the_same_event_though_its_processing_is_another(
    traces: Traces, stage: Stage, wire: Wire
) -> None:
    command = create(name="Repeated")
    first = await wire.outcome(command)
    await eventually(lambda: stage.is_published(command.id), "the row is marked")
    await stage.rows("UPDATE inbox SET published_at = NULL WHERE command_id = $1", command.id)
    await wire.send(command)
    one, other = await wire.event_messages_of(command.id, 2)
    again, process = await traces.of(command.id, 2)
    assert one.body == other.body
    assert first["traceparent"] == named(process)
    assert named(again) != named(process)
    assert (again.attributes or {})["worker.duplicate"] is True


async def test_a_malformed_parent_is_ignored(traces: Traces, wire: Wire) -> None:
    command = create(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", tracestate="vendor=x")
    event = await wire.outcome(command)
    (process,) = await traces.of(command.id)
    assert process.parent is None
    assert event["traceparent"] == named(process)
    assert "tracestate" not in event


async def test_each_attempt_is_a_transaction_and_what_failed_says_so_without_a_word_of_the_data(
    traces: Traces, wire: Wire
) -> None:
    command = create(secret_name=SECRET, name=SECRET)
    assert (await wire.outcome(command))["data"]["reason"] == "handler_failed"
    rejected = delete(999_999)
    await wire.outcome(rejected)
    (process,) = await traces.of(command.id)
    (other,) = await traces.of(rejected.id)
    attempts = [one for one in traces.ended if one.parent and one.parent.span_id == process.context.span_id]
    assert process.status.status_code is StatusCode.ERROR
    assert (process.attributes or {})["error.type"] == "handler_failed"
    # Two attempts that failed, one that records the end.
    transactions = [one for one in attempts if one.name == "transaction"]
    assert [(one.attributes or {}).get("error.type") for one in transactions] == ["ValueError", "ValueError", None]
    assert other.status.status_code is StatusCode.UNSET
    assert (other.attributes or {})["worker.outcome"] == "rejected"
    assert SECRET not in "".join(one.to_json() for one in traces.ended)


async def test_commands_at_work_side_by_side_keep_their_spans_apart(traces: Traces, wire: Wire) -> None:
    commands = [create(name=f"Beside {number}") for number in range(40)]
    for command in commands:
        await wire.send(command)
    for command in commands:
        (message,) = await wire.event_messages_of(command.id)
        (process,) = await traces.of(command.id)
        assert document(message)["traceparent"] == named(process)
        assert set(traces.below(process)) == {"transaction", "send heroes.events"}


async def test_a_switched_off_sdk_changes_nothing_of_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """`OTEL_SDK_DISABLED=true` is a common switch, and its spans have no name that an event could carry on."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    command = create()
    journey = Traces.fresh().observed().watch.arrived(Sighting("a queue", traits_of(command)))
    assert journey.marked(command) is command
    journey.gone()


def test_without_a_collector_nothing_of_the_sdk_is_loaded() -> None:
    """The extra need not be installed, and a second of imports is saved."""
    look = "import worker.app, sys; sys.exit(any(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", look], check=False).returncode == 0  # noqa: S603 - our own words
