"""The check before a release: `python -m contracts.compatibility` fails on a change that breaks somebody.

A message that was right under the last release's contract stays right for whoever reads it: the worker reads what
publishers send, consumers read what the worker sends. What only adds passes. A type that the last release marked as
`deprecated` may go.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from contracts.fitting import Fitting

RELEASED = Path(__file__).parent / "released" / "asyncapi.json"
PRESENT = Path(__file__).parent / "asyncapi.json"

_SHOWN_AT_MOST = 4

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Break:
    """One change that somebody would notice: where, what, and the way out."""

    place: str
    field: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.place}: {self.field} {self.problem}" if self.field else f"{self.place}: {self.problem}"


def breaks(released: Document, present: Document) -> list[Break]:
    """Every breaking change between two AsyncAPI documents, in the order of the released one."""
    found = [one for name in released["channels"] for one in _channel(name, released, present)]
    sent = _sent_channels(released)
    for channel, described in released["channels"].items():
        for name in described["messages"]:
            found += _message(name, channel, released, present, sent=channel in sent)
    return list(dict.fromkeys(found))


def told(found: Iterable[Break]) -> str:
    """The breaks, line by line, and after those of one type what to do."""
    together = groupby(found, key=lambda one: one.remedy)
    return "\n".join(line for remedy, group in together for line in (*map(str, group), f"    {remedy}"))


def _sent_channels(document: Document) -> set[str]:
    """Where the worker reads what others send."""
    read = [one for one in document["operations"].values() if one["action"] == "receive"]
    return {_last(one["channel"]["$ref"]) for one in read}


def _channel(name: str, released: Document, present: Document) -> Iterator[Break]:
    remedy = "put it back: everybody who is connected relies on it; a new channel may stand beside it"
    place = f"channel {name}"
    if name not in present["channels"]:
        yield Break(place, "", "is gone", remedy)
        return
    before, now = _facts(released["channels"][name]), _facts(present["channels"][name])
    for fact in sorted(before | now):
        was, is_now = before.get(fact), now.get(fact)
        if was != is_now:
            yield Break(place, fact, f"was {_shown(was)}, is {_shown(is_now)}", remedy)


def _facts(channel: Document) -> dict[str, Any]:
    """What a publisher or consumer writes into its program."""
    facts = {"address": channel["address"]}
    for key, value in channel["bindings"]["amqp"].items():
        if isinstance(value, dict):
            facts |= {f"{key} {inner}": content for inner, content in value.items()}
        elif key != "bindingVersion":
            facts[key] = value
    return facts | {f"the values of {{{key}}}": one.get("enum") for key, one in channel.get("parameters", {}).items()}


def _shown(value: Any) -> str:
    long = isinstance(value, list) and len(value) > _SHOWN_AT_MOST
    return f"{len(value)} from {value[0]!r} to {value[-1]!r}" if long else repr(value)


def _message(name: str, channel: str, released: Document, present: Document, *, sent: bool) -> Iterator[Break]:
    before, now = released["components"]["messages"][name], present["components"]["messages"].get(name)
    if now is None or name not in present["channels"].get(channel, released["channels"][channel])["messages"]:
        if not _deprecated(before, released):
            problem = "is gone" if now is None else f"does not travel on {channel} any more"
            yield Break(name, "", problem, "keep it, marked as deprecated, for one release beside its successor")
        return
    if before.get("contentType") != now.get("contentType"):
        problem = f"was {before.get('contentType')!r}, is {now.get('contentType')!r}"
        yield Break(name, "contentType", problem, _successor(name))
    inner, outer = (released, present) if sent else (present, released)
    fitting = Fitting(sent, inner["components"]["schemas"], outer["components"]["schemas"])
    for part, prefix in (("payload", ""), ("headers", "headers")):
        messages = (before[part], now[part]) if sent else (now[part], before[part])
        for misfit in fitting.misfits(*messages, prefix):
            yield Break(name, misfit.field, misfit.problem, _successor(name))


def _deprecated(message: Document, document: Document) -> bool:
    schema = document["components"]["schemas"].get(_last(message["payload"].get("$ref", "")), {})
    return bool(schema.get("deprecated"))


def _successor(name: str) -> str:
    known = re.fullmatch(r"(.+)\.v([0-9]+)", name)
    new = f"{known[1]}.v{int(known[2]) + 1}" if known else f"{name}.v2"
    return f"give the new shape a new name: {new}; both are handled for one release"


def _last(reference: str) -> str:
    return reference.rpartition("/")[2]


def main(released: Path = RELEASED, present: Path = PRESENT) -> int:
    """Prints every breaking change; the exit code is 1 if there is one."""
    before, now = (json.loads(path.read_text(encoding="utf-8")) for path in (released, present))
    found = breaks(before, now)
    version = before["info"]["version"]
    print(f"breaks what {version} promised:\n{told(found)}" if found else f"compatible with {version}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
