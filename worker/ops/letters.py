"""The last dead letters in groups, each with the commands that handle it.

A command is copied into a shell: what a message says stands in one only where it can't mean anything else there.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from worker.messaging.letter import UNKNOWN
from worker.observability.recent import SetAside
from worker.outcomes import HOPELESS

_GROUPS = 8
_IDS = 3
# No space, quote or sign that a shell reads, and no dash in front that would be an option.
_HARMLESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}", re.ASCII)

EVERYTHING = "heroes dead-letters list"


@dataclass(frozen=True, slots=True)
class Group:
    """Letters of one reason and type; the newest tells `detail`."""

    reason: str
    type: str | None
    count: int
    newest_at: float
    detail: str
    ids: tuple[str, ...]

    @property
    def is_hopeless(self) -> bool:
        """The same command sent again would end in the same way."""
        return self.reason in HOPELESS

    @property
    def commands(self) -> Iterator[tuple[str, str]]:
        """What each is for, and the command itself."""
        some = self._options()
        if not some:
            yield "all of them", f"{EVERYTHING} --ids"
            return
        yield "their ids", f"{EVERYTHING} --ids {some}"
        for name in filter(_HARMLESS.fullmatch, self.ids):
            yield "look at one", f"heroes dead-letters show {name}"
        if not self.is_hopeless and self._names_its_type:
            yield "try a replay", f"heroes dead-letters replay {some} --dry-run"

    def _options(self) -> str:
        if not _HARMLESS.fullmatch(self.reason):
            return ""
        kind = f" --type {self.type or UNKNOWN}" if self._names_its_type else ""
        return f"--reason {self.reason}{kind}"

    @property
    def _names_its_type(self) -> bool:
        """Otherwise a command would be about letters of other types, too."""
        return self.type is None or _HARMLESS.fullmatch(self.type) is not None


@dataclass(frozen=True, slots=True)
class Grouped:
    """The groups in which something came last; `others` are letters of groups that are not among them."""

    groups: tuple[Group, ...]
    seen: int
    others: int


def grouped(letters: Iterable[SetAside]) -> Grouped:
    """Those that this worker remembers."""
    of: dict[tuple[str, str | None], list[SetAside]] = {}
    for letter in letters:
        of.setdefault((letter.reason, letter.type), []).append(letter)
    newest_first = sorted(of.values(), key=lambda some: some[-1].at, reverse=True)
    groups = tuple(map(_group, newest_first[:_GROUPS]))
    seen = sum(map(len, newest_first))
    return Grouped(groups, seen, seen - sum(group.count for group in groups))


def _group(letters: list[SetAside]) -> Group:
    newest = letters[-1]
    ids = dict.fromkeys(letter.command_id for letter in reversed(letters) if letter.command_id)
    return Group(newest.reason, newest.type, len(letters), newest.at, newest.detail, tuple(ids)[:_IDS])
