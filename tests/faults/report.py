"""What is printed of a run: a line, and of a failed one everything that helps to understand it."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from tests.faults.history import History
from tests.faults.run import Result

MOST_OBJECTIONS, MOST_HEROES = 30, 3


def line(result: Result) -> str:
    """Seed, size, faults, recoveries and verdict."""
    options = result.options
    kinds = Counter(step.kind for step in result.steps)
    faults = " ".join(kind if count == 1 else f"{kind}*{count}" for kind, count in sorted(kinds.items()))
    verdict = f"{len(result.objections)} OBJECTIONS" if result.objections else "kept"
    return (
        f"seed {options.seed:3}  workers {options.workers}  commands {options.commands}  {faults}  "
        f"recoveries {len(result.recoveries)}, {_longest(result)}  {', '.join(result.remarks)}  "
        f"{result.seconds:.0f} s  {verdict}"
    )


def _longest(result: Result) -> str:
    firsts = [(one.first_seconds, one.step.kind) for one in result.recoveries if one.first_seconds is not None]
    if not firsts:
        return "none measured"
    seconds, kind = max(firsts)
    return f"longest {seconds:.1f} s ({kind})"


def details(result: Result) -> Iterator[str]:
    """The objections, the plan as it was carried out, the recoveries, and the story of the heroes concerned."""
    yield f"  objections of seed {result.options.seed}:"
    yield from (f"    {one[:1000]}" for one in result.objections[:MOST_OBJECTIONS])
    if len(result.objections) > MOST_OBJECTIONS:
        yield f"    … and {len(result.objections) - MOST_OBJECTIONS} more"
    yield from _times(result)
    heroes = dict.fromkeys(re.findall(r"\bh\d{3}\b", "\n".join(result.objections)))
    for hero in [*heroes][:MOST_HEROES]:
        yield from _story(result.history, hero)
    yield f"  worker logs: {result.folder}"


def _times(result: Result) -> Iterator[str]:
    yield "  plan:"
    yield from (f"    {step}" for step in result.steps)
    yield "  carried out:"
    yield from (f"    {one}" for one in result.struck)
    yield "  recoveries:"
    for one in result.recoveries:
        yield f"    {one.step.kind}: first after {_shown(one.first_seconds)}, all after {_shown(one.all_seconds)} s"


def _story(history: History, hero: str) -> Iterator[str]:
    yield f"  {hero}: published (at, confirmed at, copies), its outcome, its events with their arrivals:"
    heard: dict[str, list[str]] = {}
    for one in history.heard:
        heard.setdefault(one.event.get("causationid", ""), []).append(f"{one.event['id'][:8]} at {one.at:.2f}")
    for sent in history.sent.get(hero, ()):
        row = history.row_of.get(sent.command_id)
        state = [(event["type"], event["data"].get("hero", event["data"])) for event in row.events] if row else None
        confirmed = f"{sent.confirmed_at:.2f}" if sent.confirmed else "never"
        yield (
            f"    {sent.command_id} {sent.kind} {sent.name} expects {sent.expected_version} "
            f"({sent.first_sent_at:.2f}, {confirmed}, {sent.copies}) -> {row and row.outcome} "
            f"{'' if row is None or row.is_published else 'UNPUBLISHED '}{state} heard {heard.get(sent.command_id)}"
        )


def summary(results: Sequence[Result]) -> Iterator[str]:
    """One line for each kind of fault over all runs: how often it came, and the recoveries from it."""
    yield f"{'fault':20} {'times':>5}  {'until the first outcome':>26}  {'until all that waited':>26}"
    count = Counter(step.kind for result in results for step in result.steps)
    for kind in sorted(count):
        after = [one for result in results for one in result.recoveries if one.step.kind == kind]
        firsts = [one.first_seconds for one in after if one.first_seconds is not None]
        alls = [one.all_seconds for one in after if one.all_seconds is not None]
        yield f"{kind:20} {count[kind]:5}  {_range(firsts):>26}  {_range(alls):>26}"
    broken = [str(result.options.seed) for result in results if result.objections]
    yield f"{len(results)} runs, {len(broken)} broke the promise{': seeds ' + ', '.join(broken) if broken else ''}"


def _range(seconds: Sequence[float]) -> str:
    if not seconds:
        return "-"
    middle = sorted(seconds)[len(seconds) // 2]
    return f"median {middle:.1f}, longest {max(seconds):.1f} s"


def _shown(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.2f}"
