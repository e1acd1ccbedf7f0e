"""What programs have used of the machine: CPU time and memory of whole process trees, read from /proc.

Invariant: a child that has ended still counts by what its parent has reaped; what can't be read is NaN, never nought.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import nan
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from worker.settings import Settings

_MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU time of the three that share the machine; of one command, or of a whole turn."""

    worker: float
    database: float
    broker: float

    @property
    def total(self) -> float:
        """All three together."""
        return self.worker + self.database + self.broker

    def spent_until(self, later: "Cpu", commands: float) -> "Cpu":
        """Microseconds for each command between two readings in seconds."""
        each = _MICROSECONDS / commands
        return Cpu(
            (later.worker - self.worker) * each,
            (later.database - self.database) * each,
            (later.broker - self.broker) * each,
        )


@dataclass(frozen=True, slots=True)
class Servers:
    """The processes of RabbitMQ and PostgreSQL; None where they run on another machine or in a container."""

    database: int | None
    broker: int | None

    @classmethod
    def found(cls, settings: Settings) -> "Servers":
        """Who listens on the ports that the settings name."""
        database, broker = urlsplit(settings.database_url), urlsplit(settings.rabbitmq_url)
        return cls(_listening(database.port or 5432, "postgres"), _listening(broker.port or 5672, "beam.smp"))

    def cpu(self, worker_pids: Iterable[int]) -> Cpu:
        """CPU seconds so far."""
        return Cpu(cpu_seconds(worker_pids), _of_server(self.database), _of_server(self.broker))


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes and everybody below them."""
    return sum(_cpu_of_one(process) for process in _trees(pids))


def resident_bytes(pids: Iterable[int]) -> int:
    """Memory in use now; pages that forks share count in each of them."""
    return sum(_status(process.pid, "VmRSS") for process in _trees(pids))


def peak_bytes(pids: Iterable[int]) -> int:
    """The most memory that each has had in use, added up."""
    return sum(_status(process.pid, "VmHWM") for process in _trees(pids))


def _of_server(pid: int | None) -> float:
    return nan if pid is None else cpu_seconds([pid])


def _cpu_of_one(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0


def _trees(pids: Iterable[int]) -> Iterator[psutil.Process]:
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            yield process
            yield from process.children(recursive=True)


def _status(pid: int, field: str) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    return 0


def _listening(port: int, program: str) -> int | None:
    """Of a server that forks, only the parent and not who inherited its socket."""
    with suppress(psutil.AccessDenied):
        pids = {
            one.pid
            for one in psutil.net_connections("tcp")
            if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port and one.pid
        }
        owners = [pid for pid in sorted(pids) if psutil.Process(pid).name() == program]
        return next((pid for pid in owners if psutil.Process(pid).ppid() not in pids), None)
    return None
