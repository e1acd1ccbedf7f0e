"""One step of a plan of faults."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """After a pause a fault that lasts; `worker` says whose, where it is about one."""

    pause_seconds: float
    kind: str
    worker: int
    seconds: float

    @property
    def target(self) -> str:
        """What it is about: two faults of the same target come one after the other."""
        what = self.kind.partition("_")[0]
        return what if what in {"broker", "database"} else f"{what} {self.worker}"
