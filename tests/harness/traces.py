"""Spans that are kept in memory, as they ended."""

from collections.abc import Sequence
from dataclasses import dataclass

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Span, format_span_id, format_trace_id

from tests.harness.stage import eventually
from worker.observability.metrics import Metrics
from worker.observability.observed import Observed
from worker.observability.tracing import Tracing
from worker.ours import OURS


@dataclass(frozen=True, slots=True)
class Traces:
    """Every span that has ended, and a tracer for those around the worker."""

    exporter: InMemorySpanExporter
    provider: TracerProvider

    @classmethod
    def fresh(cls) -> "Traces":
        """Kept in memory."""
        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        return cls(exporter, provider)

    def observed(self) -> Observed:
        """For a worker."""
        return Observed.of(Metrics(OURS.handlers), Tracing(self.provider))

    async def of(self, command_id: str, deliveries: int = 1) -> list[ReadableSpan]:
        """The spans of the processing of one command, the last one first."""

        def found() -> list[ReadableSpan]:
            return [one for one in self.ended if (one.attributes or {}).get("messaging.message.id") == command_id]

        async def enough() -> bool:
            return len(found()) >= deliveries

        await eventually(enough, f"{deliveries} processings of {command_id}")
        return found()[::-1]

    def below(self, parent: ReadableSpan) -> dict[str, ReadableSpan]:
        """Its children, by name."""
        return {one.name: one for one in self.ended if one.parent and one.parent.span_id == parent.context.span_id}

    @property
    def ended(self) -> Sequence[ReadableSpan]:
        """In the order in which they ended."""
        return self.exporter.get_finished_spans()


def named(span: Span | ReadableSpan) -> str:
    """As a `traceparent` tells it."""
    context = span.get_span_context()
    assert context is not None
    flags = f"{context.trace_flags:02x}"
    return f"00-{format_trace_id(context.trace_id)}-{format_span_id(context.span_id)}-{flags}"
