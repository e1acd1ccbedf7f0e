"""Tells what a visit to the broker means for a worker."""

from collections.abc import Iterator

from worker.errors import ExitCode, RefuseToStartError
from worker.messaging.connection import without_password
from worker.messaging.visit import Visit, visit
from worker.operations.check import management, topology
from worker.operations.check.finding import Finding
from worker.settings import Settings

_FIRST_WITH_PRIORITIES = (4, 0)
_OLDEST_TESTED = (3, 10)


async def check_broker(settings: Settings, wait_seconds: float, management_url: str | None) -> list[Finding]:
    """It answers, everything that was declared is there as it should be, and this user may use it."""
    part = f"broker {without_password(settings.rabbitmq_url)}"
    days = settings.event_log_retention_days
    try:
        visited = await visit(settings.rabbitmq_url, days, wait_seconds)
    except RefuseToStartError as error:
        return [Finding.refused(part, error)]
    more = await management.findings(management_url, settings.rabbitmq_url, days)
    return [*_about(part, visited.version), *_found(visited), *more]


def _found(visited: Visit) -> Iterator[Finding]:
    if visited.broken_off:
        told = f"it stopped answering in the middle ({visited.broken_off})"
        yield Finding.wrong("broker", told, "run heroes check again", ExitCode.UNREACHABLE)
        yield from (one for one in topology.findings(visited.seen) if one.mark != "✓")
        return
    yield from topology.findings(visited.seen)
    yield from topology.rights(visited.seen, visited.unpublishable)
    if visited.is_blocked:
        do = "make room there (rabbitmq-diagnostics alarms); commands wait meanwhile, and nothing is lost"
        told = "the broker takes no publication: its memory or disk alarm is on"
        yield Finding.wrong("publishing", told, do, ExitCode.UNREACHABLE)


def _about(part: str, version: tuple[int, ...]) -> Iterator[Finding]:
    name = f"RabbitMQ {'.'.join(map(str, version))}"
    yield Finding(part, name)
    if version < _OLDEST_TESTED:
        oldest = ".".join(map(str, _OLDEST_TESTED))
        yield Finding.note("broker", f"{name} is older than {oldest}, the oldest that is tested", "upgrade it")
    if version < _FIRST_WITH_PRIORITIES:
        told = f"{name} ignores consumer priorities: one worker takes all queues, the others stand by"
        do = "nothing, or heroes worker --processes N, which share them out; RabbitMQ 4 spreads them over all workers"
        yield Finding.note("broker", told, do)
