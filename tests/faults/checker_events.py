"""The checker's half about events: all arrived, one content each, each with its outcome, each hero's in order."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from tests.faults.history import History


def each_event_arrived(history: History) -> Iterator[str]:
    """What an outcome says it announced was heard."""
    heard = {one.event["id"] for one in history.heard}
    for row in history.inbox:
        for event in row.events:
            if event["id"] not in heard:
                yield f"{_hero(history, row.command_id)} {row.command_id}: its event {event['id']} never arrived"


def each_event_has_one_content(history: History) -> Iterator[str]:
    """Every publication of an event is the same bytes."""
    contents = defaultdict(set)
    for one in history.heard:
        contents[one.event["id"]].add(one.body)
    for event_id, bodies in contents.items():
        if len(bodies) > 1:
            shown = b" and ".join(sorted(bodies)).decode(errors="replace")
            yield f"event {event_id}: {len(bodies)} contents: {shown}"


def each_event_stands_in_the_database(history: History) -> Iterator[str]:
    """Nobody heard of what is not recorded as it was heard."""
    for event_id, event in {one.event["id"]: one.event for one in history.heard}.items():
        cause = event.get("causationid", "")
        row = history.row_of.get(cause)
        name = f"{_hero(history, cause)} {cause}"
        recorded = {one["id"]: one for one in row.events} if row else {}
        if event_id not in recorded:
            yield f"{name}: event {event_id} ({event['type']}) without an outcome in the database"
        elif recorded[event_id] != event:
            yield f"{name}: event {event_id} is recorded otherwise than it was heard"


def each_command_has_one_event(history: History) -> Iterator[str]:
    """However often it was handled, it caused one event id."""
    ids = defaultdict(set)
    for one in history.heard:
        ids[one.event.get("causationid", "")].add(one.event["id"])
    for row in history.inbox:
        ids[row.command_id].update(event["id"] for event in row.events)
    for command_id, events in ids.items():
        if len(events) != 1:
            yield f"{_hero(history, command_id)} {command_id}: {len(events)} events instead of one"


def events_arrive_in_order(history: History) -> Iterator[str]:
    """Repeats aside, each hero's events come in the order of its commands; one that came too late is named."""
    places = {one.command_id: place for commands in history.sent.values() for place, one in enumerate(commands)}
    seen: set[str] = set()
    last: dict[str, str] = {}
    for one in history.heard:
        cause = one.event.get("causationid", "")
        if one.event["id"] in seen or cause not in places:
            continue
        seen.add(one.event["id"])
        hero = _hero(history, cause)
        before = last.get(hero)
        if before is not None and places[before] > places[cause]:
            yield f"{hero} {cause}: its event first arrived after that of {before}, which was published later"
        else:
            last[hero] = cause


EVENT_CHECKS: Sequence[Callable[[History], Iterator[str]]] = (
    each_event_arrived,
    each_event_has_one_content,
    each_event_stands_in_the_database,
    each_command_has_one_event,
    events_arrive_in_order,
)


def _hero(history: History, command_id: str) -> str:
    command = history.commands.get(command_id)
    return command.hero if command else "nobody"
