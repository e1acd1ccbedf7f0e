"""The checker lets a right history pass and objects to each kind of wrong one, in the right words."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.checker import objections
from tests.faults.history import Heard, HeroRow, History, InboxRow, Letter, Sent

CREATE, UPDATE, DELETE = "hero.create", "hero.update", "hero.delete"


def applied(kind: str, number: int, version: int, name: str) -> InboxRow:
    hero = {"id": 7, "name": name, "version": version}
    event = {"id": f"e{number}", "type": kind, "causationid": f"c{number}", "data": {"hero": hero}}
    return InboxRow(f"c{number}", "applied", [event])


def rejected(number: int, code: str) -> InboxRow:
    event = {"id": f"e{number}", "type": "hero.command_rejected", "causationid": f"c{number}", "data": {"code": code}}
    return InboxRow(f"c{number}", "rejected", [event])


def heard(*rows: InboxRow) -> list[Heard]:
    return [Heard(json.dumps(event).encode()) for row in rows for event in row.events]


A_LIFE = (
    Sent("h1", "c0", CREATE, "h1-0"),
    Sent("h1", "c1", UPDATE, "h1-1", copies=3),
    Sent("h1", "c2", UPDATE, "h1-2", expected_version=2),
    Sent("h1", "c3", UPDATE, "h1-3", expected_version=2),
    Sent("h1", "c4", DELETE),
    Sent("h1", "c5", UPDATE, "h1-5"),
)
A_LIFES_ROWS = (
    applied("hero.created", 0, 1, "h1-0"),
    applied("hero.updated", 1, 2, "h1-1"),
    applied("hero.updated", 2, 3, "h1-2"),
    rejected(3, "version_conflict"),
    applied("hero.deleted", 4, 3, "h1-2"),
    rejected(5, "hero_not_found"),
)
ANOTHER = (Sent("h2", "c10", CREATE, "h2-0"), Sent("h2", "c11", UPDATE, "h2-1"))
ANOTHERS_ROWS = (applied("hero.created", 10, 1, "h2-0"), applied("hero.updated", 11, 2, "h2-1"))
ROWS = (*A_LIFES_ROWS, *ANOTHERS_ROWS)
RIGHT = History({"h1": A_LIFE, "h2": ANOTHER}, heard(*ROWS), ROWS, [HeroRow(7, "h2-1", 2)])


def with_row(number: int, row: InboxRow | None, **more: Any) -> History:
    """The right history, with another row (or none) in that place, and its event heard as the row tells it."""
    rows = [*RIGHT.inbox]
    rows[number : number + 1] = [] if row is None else [row]
    return replace(RIGHT, **{"inbox": rows, "heard": heard(*rows), **more})


def swapped(one: int, other: int) -> list[Heard]:
    events = [*RIGHT.heard]
    events[one], events[other] = events[other], events[one]
    return events


def rewritten(row: InboxRow, **attributes: Any) -> InboxRow:
    return replace(row, events=[{**row.events[0], **attributes}])


def test_a_right_history_passes() -> None:
    assert objections(RIGHT) == []


def test_repeats_and_copies_pass() -> None:
    """At least once is the promise: also an old event again after a newer one."""
    assert objections(replace(RIGHT, heard=[*RIGHT.heard, *RIGHT.heard[:3], *RIGHT.heard[1:2]])) == []


@pytest.mark.parametrize("has_outcome", [True, False])
def test_an_unconfirmed_command_may_or_may_not_have_reached_the_broker(has_outcome: bool) -> None:
    unconfirmed = Sent("h2", "c12", UPDATE, "h2-2", confirmed=False)
    rows = [*ROWS, applied("hero.updated", 12, 3, "h2-2")] if has_outcome else ROWS
    hero = HeroRow(7, "h2-2", 3) if has_outcome else HeroRow(7, "h2-1", 2)
    history = History({"h1": A_LIFE, "h2": (*ANOTHER, unconfirmed)}, heard(*rows), rows, [hero])
    assert objections(history) == []


def test_a_declared_dead_letter_passes() -> None:
    history = replace(RIGHT, letters=[Letter("c1", "id_reused")], declared_letters=frozenset({"c1"}))
    assert objections(history) == []


def a_double_update() -> History:
    """c11 took effect twice, and its row tells of the second."""
    return with_row(7, applied("hero.updated", 11, 3, "h2-1"), heroes=[HeroRow(7, "h2-1", 3)])


def a_double_create() -> History:
    return replace(RIGHT, heroes=[*RIGHT.heroes, HeroRow(8, "h2-0", 1)])


def an_inversion() -> History:
    """c2 took effect before c1; neither expects a version."""
    sent = {**RIGHT.sent, "h1": [replace(one, expected_version=None) for one in A_LIFE[:3]]}
    rows = [A_LIFES_ROWS[0], applied("hero.updated", 2, 2, "h1-2"), applied("hero.updated", 1, 3, "h1-1")]
    rows += ANOTHERS_ROWS
    return History(sent, heard(*rows), rows, [HeroRow(7, "h1-1", 3), HeroRow(7, "h2-1", 2)])


def a_late_rejection() -> History:
    """c3 was refused for another reason than its place in the order gives."""
    return with_row(3, rejected(3, "hero_not_found"))


def two_contents() -> History:
    other = rewritten(ROWS[1], time="later")
    return replace(RIGHT, heard=[*RIGHT.heard, *heard(other)])


def a_second_event() -> History:
    return replace(RIGHT, heard=[*RIGHT.heard, *heard(rewritten(ROWS[1], id="e99"))])


WRONG: tuple[tuple[Callable[[], History], str], ...] = (
    (lambda: with_row(7, None), "h2 c11: confirmed and without an outcome"),
    (lambda: with_row(7, None, heroes=[HeroRow(7, "h2-0", 1)]), "h2: wrong final state: Hero(name='h2-1', version=2)"),
    (lambda: replace(RIGHT, inbox=[*ROWS, ROWS[1]]), "h1 c1: 2 outcomes"),
    (lambda: with_row(7, applied("hero.updated", 99, 2, "h2-1")), "c99: an outcome of a command that nobody published"),
    (a_double_update, "h2: its versions are not 1 to 2: missing [2]"),
    (a_double_update, "h2 c11: wrong outcome: it must be"),
    (a_double_create, "h2: wrong final state: the table holds a h2-0 of version 1"),
    (an_inversion, "h1: c1 was published before c2 and took effect after it"),
    (an_inversion, "h1: wrong final state: Hero(name='h1-2', version=3) is not in the table"),
    (a_late_rejection, "h1 c3: wrong outcome: it must be ('rejected', 'hero.command_rejected', None, 'version_confl"),
    (lambda: replace(RIGHT, heard=swapped(1, 2)), "h1 c1: its event first arrived after that of c2"),
    (lambda: replace(RIGHT, heard=swapped(2, 3)), "h1 c2: its event first arrived after that of c3"),
    (lambda: replace(RIGHT, heard=RIGHT.heard[:-1]), "h2 c11: its event e11 never arrived"),
    (two_contents, "event e1: 2 contents"),
    (two_contents, "h1 c1: event e1 is recorded otherwise than it was heard"),
    (a_second_event, "h1 c1: 2 events instead of one"),
    (a_second_event, "h1 c1: event e99 (hero.updated) without an outcome in the database"),
    (lambda: with_row(7, None, heard=RIGHT.heard), "h2 c11: event e11 (hero.updated) without an outcome"),
    (lambda: with_row(1, replace(ROWS[1], is_published=False)), "h1 c1: its outcome stands unpublished"),
    (lambda: with_row(1, replace(ROWS[1], events=[])), "h1 c1: 0 events instead of one"),
    (lambda: replace(RIGHT, letters=[Letter("c2", "handler_failed")]), "h1 c2: unexpected dead letter: handler_failed"),
    (lambda: replace(RIGHT, letters=[Letter(None, "x-death")]), "nobody None: unexpected dead letter"),
    (lambda: replace(RIGHT, heroes=[HeroRow(7, "h2-0", 2)]), "h2: wrong final state: Hero(name='h2-1', version=2)"),
    (lambda: replace(RIGHT, heroes=[*RIGHT.heroes, HeroRow(9, "h1-2", 3)]), "h1: wrong final state: the table holds"),
    (lambda: replace(RIGHT, left_in_queues={"heroes.commands.03": 2}), "heroes.commands.03: 2 messages left"),
)


@pytest.mark.parametrize(("history", "objection"), WRONG, ids=[objection[:50] for _, objection in WRONG])
def test_a_wrong_history_is_objected_to(history: Callable[[], History], objection: str) -> None:
    found = objections(history())
    assert any(one.startswith(objection) for one in found), found
