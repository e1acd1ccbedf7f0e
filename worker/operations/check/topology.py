"""What the broker's exchanges and queues, and this user's rights, mean for a worker: one finding for each cause.

Whoever may declare anything is taken for the user of `heroes setup`, anybody else for a worker's.
"""

from collections.abc import Iterator, Sequence

from contracts.channels import DEAD_LETTERS, command_queues
from worker.errors import ExitCode
from worker.messaging.examination import CONSUMED, PUBLISHED, Right, Seen, State
from worker.operations.check.finding import Finding, are, several

_SETUP, _WORKER = "the setup user", "the worker's user"
_TOPOLOGY, _RIGHTS = "topology", "rights"


def findings(seen: Sequence[Seen]) -> Iterator[Finding]:
    """About what is there, and whether it is as declared."""
    yield from _absent(seen)
    for one in seen:
        if one.wrong:
            yield Finding.refused(_TOPOLOGY, one.wrong)
    if all(one.state is State.HERE and not one.wrong for one in seen):
        compared = all(one.may.get(Right.DECLARE) for one in seen)
        yield Finding(_TOPOLOGY, f"{_counted(seen)} are {'as declared' if compared else 'there'}")
    yield from _waiting(seen)


def rights(seen: Sequence[Seen], unpublishable: Sequence[str] | None) -> Iterator[Finding]:
    """About what this user may do; `unpublishable` is None where nobody may publish just now."""
    may_declare = any(one.may.get(Right.DECLARE) for one in seen)
    lacks = list(_lacking(seen, unpublishable or ()))
    if may_declare:
        yield from _of_setup(seen)
        if lacks:
            told = f"this user may prepare the broker, but not run a worker: {'; '.join(lacks)}"
            yield Finding.note(_RIGHTS, told, "nothing, if workers log in as another user")
    elif lacks:
        told = f"this user may not do what a worker does: {'; '.join(lacks)}"
        yield Finding.wrong(_RIGHTS, told, _give(_WORKER))
    elif any(one.state is State.HERE for one in seen):
        told = "this user may not declare, and a worker need not: arguments of exchanges and queues were not compared"
        yield Finding.note(_RIGHTS, told, "run heroes check as the user of heroes setup, too")
    asked = unpublishable is not None and any(Right.CONSUME in one.may for one in seen)
    if asked and not lacks:
        yield Finding(_RIGHTS, "this user may do all that a worker does")


def _absent(seen: Sequence[Seen]) -> Iterator[Finding]:
    for kind in ("exchange", "queue"):
        missing = [one.thing.name for one in seen if one.state is State.MISSING and one.thing.kind == kind]
        if missing:
            yield Finding.wrong(_TOPOLOGY, f"{several(kind, missing)} {are(len(missing))} missing", "run heroes setup")
    if down := [one.thing.name for one in seen if one.state is State.DOWN]:
        told = f"{several('queue', down)} {are(len(down))} on a node that is not there just now"
        yield Finding.wrong(_TOPOLOGY, told, "bring the node back; nothing is lost", ExitCode.UNREACHABLE)


def _waiting(seen: Sequence[Seen]) -> Iterator[Finding]:
    for one in seen:
        if one.thing.name == DEAD_LETTERS and one.ready:
            yield Finding.note("dead letters", f"{one.ready} in the queue, for a person", "heroes dead-letters list")
    idle = [one for one in seen if one.thing.name in command_queues() and one.ready and not one.consumers]
    if idle:
        told = f"{sum(one.ready for one in idle)} in {several('queue', (one.thing.name for one in idle))}"
        yield Finding.note("waiting commands", f"{told}, and nobody takes them", "start heroes worker")


def _of_setup(seen: Sequence[Seen]) -> Iterator[Finding]:
    for right, verb in ((Right.DECLARE, "declare"), (Right.BIND, "bind")):
        if refused := [one.name for one in seen if one.may.get(right) is False]:
            told = f"this user may {verb} some of it, but not {', '.join(refused)}"
            yield Finding.wrong(_RIGHTS, told, _give(_SETUP))


def _lacking(seen: Sequence[Seen], unpublishable: Sequence[str]) -> Iterator[str]:
    """RabbitMQ 4.3 hides what a user has no right to at all."""
    hidden = [one for one in seen if one.state is State.HIDDEN]
    consumed = [one for one in hidden if one.thing.kind == "queue" and one.thing.name in CONSUMED]
    if others := [one.name for one in hidden if one not in consumed]:
        yield f"it may not even look at {', '.join(others)}"
    if refused := [one.thing.name for one in seen if one in consumed or one.may.get(Right.CONSUME) is False]:
        yield f"it may not consume {several('queue', refused)}"
    there = {one.thing.name for one in seen if one.state in {State.HERE, State.HIDDEN}} | {""}
    if refused := [name for name in unpublishable if PUBLISHED[name] in there]:
        yield f"it may not publish to {' and '.join(refused)}"


def _counted(seen: Sequence[Seen]) -> str:
    exchanges = sum(one.thing.kind == "exchange" for one in seen)
    return f"{exchanges} exchanges and {len(seen) - exchanges} queues"


def _give(user: str) -> str:
    return f"give it the rights of {user} (deploy/rabbitmq)"
