"""One thing that was looked at: well, worth knowing, or wrong; and if wrong, what to do.

Only what is wrong counts for the exit code; a note stops nobody.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from worker.errors import ExitCode, RefuseToStartError, SettingsError

URL_VARIABLE = "HEROES_RABBITMQ_MANAGEMENT_URL"

_FEW = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """`told` is what was seen, `do` what mends it."""

    part: str
    told: str
    do: str = ""
    exit_code: ExitCode = ExitCode.DONE
    is_note: bool = False

    @classmethod
    def note(cls, part: str, told: str, do: str = "") -> "Finding":
        """Worth knowing."""
        return cls(part, told, do, is_note=True)

    @classmethod
    def wrong(cls, part: str, told: str, do: str, exit_code: ExitCode = ExitCode.UNPREPARED) -> "Finding":
        """To be mended."""
        return cls(part, told, do, exit_code)

    @classmethod
    def refused(cls, part: str, error: RefuseToStartError) -> "Finding":
        """What would keep a worker from starting. A setting's sentence begins with the variable's name."""
        if isinstance(error, SettingsError):
            return cls(part, str(error), f"set {str(error).partition(':')[0]} right", error.exit_code)
        return cls(part, error.wrong, error.do or "see docs/runbook.md", error.exit_code)

    @property
    def mark(self) -> str:
        """One letter for it."""
        return "✗" if self.exit_code else "!" if self.is_note else "✓"

    def document(self) -> dict[str, Any]:
        """As JSON."""
        kind = {"✗": "wrong", "!": "note", "✓": "well"}[self.mark]
        return {
            "part": self.part,
            "finding": kind,
            "told": self.told,
            "do": self.do or None,
            "exit_code": int(self.exit_code),
        }


def several(kind: str, names: Iterable[str]) -> str:
    """`queue a`, `queues a and b`, `12 queues (a, b, c …)`."""
    listed = list(names)
    if len(listed) == 1:
        return f"{kind} {listed[0]}"
    if len(listed) <= _FEW:
        return f"{kind}s {', '.join(listed[:-1])} and {listed[-1]}"
    return f"{len(listed)} {kind}s ({', '.join(listed[:_FEW])} …)"


def are(count: int) -> str:
    """The verb that goes with so many."""
    return "is" if count == 1 else "are"
