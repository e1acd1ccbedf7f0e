"""Where and when figures were measured: without it they mean nothing.

Invariant: it names the machine's kind, never its address, its user or a path.
"""

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import aiormq
import asyncpg
import psutil

from worker.local import Services

_LIBRARIES = ("faststream", "aio-pika", "aiormq", "sqlalchemy", "asyncpg", "pydantic", "uvloop")
_BUSY_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine at one time."""

    date: str
    processor: str
    cores: int
    memory_gib: float
    system: str
    versions: dict[str, str]
    services: str
    load_before: float

    @property
    def was_busy(self) -> bool:
        """Somebody else had work for it before the run began."""
        return self.load_before > self.cores * _BUSY_SHARE

    def lines(self) -> tuple[str, ...]:
        """For the page."""
        return (
            f"{self.date}, {self.system}",
            f"{self.processor}, {self.cores} cores, {self.memory_gib:.0f} GiB; load {self.load_before:.1f} before",
            f"servers: {self.services}, on the same cores as everything else",
            ", ".join(f"{name} {number}" for name, number in self.versions.items()),
        )


async def this_machine(services: Services, load_before: float) -> Machine:
    """As it is now, with the servers of this run."""
    database = await asyncpg.connect(services.database_url.replace("+asyncpg", "", 1))
    broker = await aiormq.connect(services.rabbitmq_url)
    try:
        servers = {
            "RabbitMQ": str(broker.server_properties.get("version", "unknown")),
            "PostgreSQL": str(await database.fetchval("SHOW server_version")),
        }
    finally:
        await broker.close()
        await database.close()
    libraries = {name: version(name) for name in _LIBRARIES}
    return Machine(
        date=datetime.now(UTC).date().isoformat(),
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory_gib=psutil.virtual_memory().total / 2**30,
        system=f"{platform.system()} {platform.release().split('-')[0]}",
        versions={**servers, "Python": platform.python_version(), **libraries},
        services=services.way,
        load_before=load_before,
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
