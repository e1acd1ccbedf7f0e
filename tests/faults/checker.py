"""Judges a history: every way in which it breaks the promise becomes one objection that names hero and command."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tests.faults.checker_events import EVENT_CHECKS
from tests.faults.history import History, InboxRow
from tests.faults.model import Expected, expected


def objections(history: History) -> list[str]:
    """Empty: the promise was kept."""
    return [objection for check in (*CHECKS, *EVENT_CHECKS) for objection in check(history)]


def each_command_has_one_outcome(history: History) -> Iterator[str]:
    """What was confirmed has a row, no command has two, and no row is nobody's."""
    count = Counter(row.command_id for row in history.inbox)
    for command in history.commands.values():
        if command.confirmed and not count[command.command_id]:
            yield f"{command.hero} {command.command_id}: confirmed and without an outcome"
        if count[command.command_id] > 1:
            yield f"{command.hero} {command.command_id}: {count[command.command_id]} outcomes"
    yield from (f"{one}: an outcome of a command that nobody published" for one in count.keys() - history.commands)


def each_outcome_is_published(history: History) -> Iterator[str]:
    """No row is still to be announced."""
    for row in history.inbox:
        if not row.is_published:
            yield f"{_named(history, row.command_id)}: its outcome stands unpublished"


def outcomes_are_those_of_the_model(history: History) -> Iterator[str]:
    """Each hero's commands ended as they must; only the first that did not is named, the rest may follow from it."""
    for hero in history.sent:
        for wanted in expected(history.counting(hero))[0]:
            row = history.row_of.get(wanted.command.command_id)
            if row is not None and (differs := _difference(wanted, row)):
                yield f"{hero} {wanted.command.command_id}: wrong outcome: {differs}"
                break


def effects_are_contiguous_and_in_order(history: History) -> Iterator[str]:
    """Sorted by version the effects stand in the order of publication, and no version is missing or twice."""
    for hero in history.sent:
        places = {one.command_id: place for place, one in enumerate(history.sent[hero])}
        effects = sorted(
            (state["version"], row.events[0]["type"] == "hero.deleted", places[row.command_id])
            for row in (history.row_of[one] for one in places if one in history.row_of)
            if (state := _state(row)) is not None
        )
        versions = [version for version, is_last, _ in effects if not is_last]
        if versions != list(range(1, len(versions) + 1)):
            yield f"{hero}: its versions are not 1 to {len(versions)}: {_gaps(versions)}"
        order = [place for _, _, place in effects]
        for before, after in itertools.pairwise(order):
            if before > after:
                names = history.sent[hero][before].command_id, history.sent[hero][after].command_id
                yield f"{hero}: {names[1]} was published before {names[0]} and took effect after it"


def heroes_are_those_of_the_model(history: History) -> Iterator[str]:
    """Every hero that should be there is, as its last command left it, once; and nobody else is."""
    actual = Counter((row.name, row.version) for row in history.heroes)
    wanted = Counter[tuple[str, int]]()
    for hero in history.sent:
        last = expected(history.counting(hero))[1]
        if last is not None:
            wanted[last.name, last.version] += 1
            if not actual[last.name, last.version]:
                yield f"{hero}: wrong final state: {last} is not in the table"
    for name, version in (actual - wanted).elements():
        yield f"{name.partition('-')[0]}: wrong final state: the table holds a {name} of version {version}"


def dead_letters_were_declared(history: History) -> Iterator[str]:
    """Nothing was set aside for a person that could be applied."""
    for letter in history.letters:
        if letter.command_id not in history.declared_letters:
            yield f"{_named(history, letter.command_id)}: unexpected dead letter: {letter.reason}"


def queues_are_empty(history: History) -> Iterator[str]:
    """No command is left behind when all have an outcome."""
    for queue, count in history.left_in_queues.items():
        if count:
            yield f"{queue}: {count} messages left"


CHECKS: Sequence[Callable[[History], Iterator[str]]] = (
    each_command_has_one_outcome,
    each_outcome_is_published,
    outcomes_are_those_of_the_model,
    effects_are_contiguous_and_in_order,
    heroes_are_those_of_the_model,
    dead_letters_were_declared,
    queues_are_empty,
)


def _difference(wanted: Expected, row: InboxRow) -> str:
    event = row.events[0] if row.events else {"type": None, "data": {}}
    state = _state(row)
    hero = (wanted.hero.name, wanted.hero.version) if wanted.hero else None
    seen = (row.outcome, event["type"], (state["name"], state["version"]) if state else None, event["data"].get("code"))
    must = (wanted.outcome, wanted.kind, hero, wanted.code)
    return "" if seen == must else f"it must be {must} and is {seen}"


def _state(row: InboxRow) -> Mapping[str, Any] | None:
    state: Mapping[str, Any] | None = row.events[0]["data"].get("hero") if row.events else None
    return state


def _gaps(versions: Sequence[int]) -> str:
    twice = [version for version, count in Counter(versions).items() if count > 1]
    missing = sorted(set(range(1, max(versions, default=0) + 1)) - set(versions))
    return f"missing {missing[:5]}, more than once {twice[:5]}"


def _named(history: History, command_id: str | None) -> str:
    command = history.commands.get(command_id or "")
    return f"{command.hero if command else 'nobody'} {command_id}"
