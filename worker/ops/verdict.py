"""One sentence for whoever looks at the page first: well, ready but worth a look, or not ready, and what is wrong."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from worker.ops.facts import Facts
from worker.ops.letters import EVERYTHING

_OLD_SECONDS = 300.0
_CHECK = "heroes check"


class Level(StrEnum):
    """How bad it is."""

    WELL = "well"
    LOOK = "look"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong, what it means, and the command that looks closer."""

    part: str
    problem: str
    meaning: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The sentence, its grounds, and the parts that are well."""

    level: Level
    sentence: str
    troubles: tuple[Trouble, ...] = ()
    well: tuple[str, ...] = ()


STUCK = Verdict(
    Level.BAD,
    "Stuck: the worker does not answer",
    (
        Trouble(
            "event loop",
            "it has not answered for some seconds",
            "Something computes or blocks in it. /livez says for how long; after 10 s restart it: nothing is lost.",
        ),
    ),
)

# The likeliest cause first: what stands further down often follows from it.
_MEANINGS = {
    "worker": ("Its log says what it waits for or finishes.", ""),
    "database": ("PostgreSQL can't be used. Commands wait; nothing is lost.", _CHECK),
    "publishing": ("RabbitMQ is away or has a memory or disk alarm. Commands wait; nothing is lost.", _CHECK),
    "gate": ("Commands wait where they are; nothing is lost. It opens by itself when the service is back.", ""),
    "commands": (
        "Unless another worker takes those queues, what is in them waits. They are taken up again once they can be.",
        _CHECK,
    ),
    "schema": ("The tables must be those of this version.", _CHECK),
    "topology": ("Every exchange and queue must be there.", _CHECK),
}
_ORDER = {part: place for place, part in enumerate(_MEANINGS)}


def verdict_on(facts: Facts) -> Verdict:
    """What is to be said of it."""
    worth_a_look = tuple(_worth_a_look(facts))
    if facts.parts is None:
        unknown = Trouble("readiness", f"not known: {facts.parts_not_known}", "A service may hang.", _CHECK)
        return Verdict(Level.BAD, "Not known whether it is ready", (unknown, *worth_a_look))
    well = tuple(name for name, problem in facts.parts.items() if problem is None)
    if bad := _not_ready(facts.parts):
        # What can't be known is no cause: the sentence names it only where there is nothing else.
        known = [trouble.part for trouble in bad if not trouble.problem.startswith("not known")]
        sentence = f"Not ready: {_listed(known or [trouble.part for trouble in bad])}"
        return Verdict(Level.BAD, sentence, (*bad, *worth_a_look), well)
    if worth_a_look:
        sentence = f"Commands are taken, but look at {_listed([trouble.part for trouble in worth_a_look])}"
        return Verdict(Level.LOOK, sentence, worth_a_look, well)
    return Verdict(Level.WELL, "All is well: commands are taken", (), well)


def _not_ready(parts: Mapping[str, str | None]) -> tuple[Trouble, ...]:
    found = [(name, problem) for name, problem in parts.items() if problem is not None]
    found.sort(key=lambda one: _ORDER.get(one[0], len(_ORDER)))
    return tuple(Trouble(name, problem, *_MEANINGS.get(name, ())) for name, problem in found)


def _worth_a_look(facts: Facts) -> Iterator[Trouble]:
    if letters := facts.waiting_letters:
        problem = "1 waits for a person" if letters == 1 else f"{letters} wait for a person"
        yield Trouble("dead letters", problem, command=EVERYTHING)
    if facts.reading and facts.reading.permits_slow:
        yield Trouble("slow", "20 commands in a row were given up, so they go one at a time until one succeeds")
    if full := [queue.name for queue in facts.queues if queue.is_full]:
        meaning = "For a moment that is a busy queue; for minutes something in it is stuck or tried again."
        yield Trouble("full", f"as many commands as this worker takes are in hand from {', '.join(full)}", meaning)
    if facts.owed.oldest_seconds > _OLD_SECONDS + facts.sweep_after_seconds:
        meaning = "Events are not confirmed, or a dead letter waits for its command."
        yield Trouble("unpublished events", f"the oldest for {facts.owed.oldest_seconds / 60:.0f} minutes", meaning)
    elif facts.reading and facts.at - facts.owed.round_at > _OLD_SECONDS + facts.sweep_after_seconds:
        minutes = (facts.at - facts.owed.round_at) / 60
        yield Trouble("sweeper", f"no good round for {minutes:.0f} minutes", "Its log says why.")
    if facts.queues_not_known:
        yield Trouble("queues", f"not known: {facts.queues_not_known}")


def _listed(words: list[str]) -> str:
    return " and ".join([*([", ".join(words[:-1])] if words[:-1] else []), words[-1]])
