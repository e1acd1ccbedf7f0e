"""Spans by the conventions of OpenTelemetry for messaging; needs the extra `tracing`, and is imported only with it.

A span never tells an exception's text or a body: either may hold values of fields.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from opentelemetry.context import Context, attach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, format_trace_id, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from worker.outcomes import Outcome
from worker.watch import Sighting

_SERVICE = "heroes-worker"
_EXPORT_TIMEOUT_SECONDS = 5.0
_CLOSE_SECONDS = 2.0


class Tracing:
    """Opens a span for each command, and its children."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer(_SERVICE)
        self._propagator = TraceContextTextMapPropagator()

    def process(self, sighting: Sighting) -> "ProcessSpan":
        """A span for this delivery, under the command's own trace if it tells one; this task's next spans are its
        children.
        """
        traits = sighting.traits
        told = {"traceparent": traits.traceparent, "tracestate": traits.tracestate}
        parent = self._propagator.extract({name: value for name, value in told.items() if value}, Context())
        attributes: dict[str, AttributeValue | None] = {
            "messaging.system": "rabbitmq",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": sighting.queue,
            "messaging.message.id": traits.command_id,
            "messaging.message.conversation_id": traits.correlation_id or traits.command_id,
            "messaging.message.body.size": sighting.body_bytes,
            "worker.command.type": traits.type,
        }
        span = self._tracer.start_span(
            f"process {sighting.queue}",
            parent,
            SpanKind.CONSUMER,
            {name: value for name, value in attributes.items() if value is not None},
        )
        context = set_span_in_context(span, parent)
        attach(context)  # for the rest of the delivery's own task
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, context)
        return ProcessSpan(span, carrier.get("traceparent"), carrier.get("tracestate"))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One attempt at the transaction."""
        attributes: dict[str, AttributeValue] = {"db.system.name": "postgresql", "db.operation.name": "transaction"}
        with self._child("transaction", SpanKind.CLIENT, attributes):
            yield

    @contextmanager
    def publication(self, exchange: str, messages: int) -> Iterator[None]:
        """Events on their way to their confirms."""
        attributes: dict[str, AttributeValue] = {
            "messaging.system": "rabbitmq",
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.destination.name": exchange,
        }
        if messages > 1:
            attributes["messaging.batch.message_count"] = messages
        with self._child(f"send {exchange}", SpanKind.PRODUCER, attributes):
            yield

    def close(self) -> None:
        """What was recorded is exported, if the other end answers soon; otherwise it is lost."""
        closing = Thread(target=self._provider.shutdown, daemon=True)  # it may take as long as it likes, without us
        closing.start()
        closing.join(_CLOSE_SECONDS)

    @contextmanager
    def _child(self, name: str, kind: SpanKind, attributes: dict[str, AttributeValue]) -> Iterator[None]:
        with self._tracer.start_as_current_span(
            name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except BaseException as error:
                _failed(span, type(error).__qualname__)
                raise


class ProcessSpan:
    """The span of one delivery, and how others name it; the SDK, switched off, makes spans without a name."""

    __slots__ = ("_span", "trace_id", "traceparent", "tracestate")

    def __init__(self, span: Span, traceparent: str | None, tracestate: str | None) -> None:
        self._span = span
        self.traceparent = traceparent
        self.tracestate = tracestate
        self.trace_id = format_trace_id(span.get_span_context().trace_id)

    def end(self, outcome: Outcome | None) -> None:
        """It is over; without an outcome the delivery was given up and comes again."""
        if outcome is None:
            _failed(self._span, "given_up")
        else:
            self._span.set_attribute("worker.outcome", str(outcome.kind))
            self._span.set_attribute("worker.duplicate", outcome.found)
            if outcome.letter:
                _failed(self._span, str(outcome.letter.reason))
        self._span.end()


def provider(worker_id: str, version: str, exporter: SpanExporter) -> TracerProvider:
    """Where spans of this worker come from; they are exported in batches, by a thread of the library's."""
    about = {"service.name": _SERVICE, "service.instance.id": worker_id, "service.version": version}
    made = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
    made.add_span_processor(BatchSpanProcessor(exporter))
    return made


def exporter_to(endpoint: str) -> SpanExporter:
    """Sends spans by OTLP over HTTP to a collector, like http://collector:4318."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # protobuf: only where used

    return OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_TIMEOUT_SECONDS)


def _failed(span: Span, what: str) -> None:
    span.set_attribute("error.type", what)
    span.set_status(Status(StatusCode.ERROR))
