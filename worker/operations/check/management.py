"""What only the broker's management API shows: bindings, policies and alarms."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from contracts.channels import COMMANDS, EVENT_LOG, EVENTS
from worker.errors import ExitCode
from worker.messaging.management import asked, host_of
from worker.messaging.topology import Queue, queues
from worker.operations.check.finding import URL_VARIABLE, Finding, are, several

_ALARMS = {"mem_alarm": "memory", "disk_free_alarm": "disk"}
_LIMITS = ("max-length", "max-length-bytes")
# What a queue of ours needs stands in its arguments; each of these would take messages away that are still wanted.
_HARMFUL = (*_LIMITS, "message-ttl", "expires", "delivery-limit")

Binding = tuple[str, str, str]
"""Exchange, queue, key."""


async def findings(management_url: str | None, rabbitmq_url: str, event_log_retention_days: int) -> list[Finding]:
    """One for each cause; where the API can't be asked, a note."""
    if not management_url:
        told = "bindings, policies and alarms were not looked at: AMQP does not show them"
        return [Finding.note("management", told, f"set {URL_VARIABLE}, with a user of the tag monitoring")]
    host = host_of(rabbitmq_url)
    answers = await asked(management_url, f"bindings/{host}", f"queues/{host}", "nodes")
    if isinstance(answers, str):
        do = f"set {URL_VARIABLE} right, with a user of the tag monitoring"
        return [Finding.note("management", f"bindings, policies and alarms were not looked at: {answers}", do)]
    bindings, there, nodes = answers
    expected = list(queues(event_log_retention_days))
    ours = {queue.name for queue in expected}
    return [
        *_about_bindings(expected, bindings, {queue["name"] for queue in there}),
        *_about_policies(ours, there),
        *_about_alarms(nodes),
    ]


def _about_bindings(expected: Sequence[Queue], told: Iterable[Mapping[str, Any]], there: set[str]) -> Iterator[Finding]:
    """A queue that is not there has no bindings either; that is told elsewhere."""
    wanted = {(queue.exchange, queue.name, key) for queue in expected if queue.name in there for key in queue.keys}
    found = {
        (one["source"], one["destination"], one["routing_key"]) for one in told if one["destination_type"] == "queue"
    }
    if missing := sorted(wanted - found):
        told_names = several("binding", map(_shown, missing))
        yield Finding.wrong("bindings", f"{told_names} {are(len(missing))} missing", "run heroes setup")
    elif wanted:
        yield Finding("bindings", f"all {len(wanted)} are there")
    if more := sorted(one for one in found - wanted if one[0] == COMMANDS):
        told_names = several("binding", map(_shown, more))
        do = "unbind it, unless somebody listens on purpose"
        yield Finding.note("bindings", f"{told_names} {are(len(more))} not ours: commands go there, too", do)


def _about_policies(ours: set[str], there: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    for queue in there:
        name, policy = queue["name"], queue.get("effective_policy_definition")
        if name in ours and name != EVENT_LOG:
            if meddling := [key for key in _HARMFUL if key in (policy or {})]:
                told = f"a policy sets {' and '.join(meddling)} for queue {name}"
                yield Finding.wrong("policies", told, "narrow the policy's pattern so that it leaves this queue alone")
        elif name.startswith(f"{EVENTS}.") and name != EVENT_LOG:
            yield from _about_consumer(name, _rules(queue), is_known=policy is not None)


def _rules(queue: Mapping[str, Any]) -> dict[str, Any]:
    """What holds for the queue: an argument before a policy; but a quorum queue takes `overflow` from the policy."""
    policy = queue.get("effective_policy_definition") or {}
    rules = policy | {key.removeprefix("x-"): value for key, value in queue.get("arguments", {}).items()}
    if rules.get("queue-type") == "quorum" and "overflow" in policy:
        rules["overflow"] = policy["overflow"]
    return rules


def _about_consumer(name: str, rules: Mapping[str, Any], *, is_known: bool) -> Iterator[Finding]:
    """A queue of another application that takes our events; the API knows a new queue's policy some seconds later."""
    limited = any(limit in rules for limit in _LIMITS)
    do = "give it the policy of deploy/rabbitmq: 1 GiB, and the oldest event is dropped"
    if limited and str(rules.get("overflow", "")).startswith("reject-publish"):
        told = f"queue {name} refuses what comes when it is full, and with it the workers' events, for everybody"
        yield Finding.wrong("policies", told, do)
    elif is_known and not limited and rules.get("queue-type") != "stream":
        yield Finding.note("policies", f"nothing keeps queue {name} from growing while its consumer is away", do)


def _about_alarms(nodes: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    raised = [(one["name"], word) for one in nodes for key, word in _ALARMS.items() if one.get(key)]
    for node, word in raised:
        do = "make room there (rabbitmq-diagnostics alarms); commands wait meanwhile, and nothing is lost"
        yield Finding.wrong("alarms", f"the {word} alarm is on at {node}: nobody may publish", do, ExitCode.UNREACHABLE)
    if not raised:
        yield Finding("alarms", "none")


def _shown(binding: Binding) -> str:
    exchange, queue, key = binding
    return f"{exchange} → {queue}" + (f" by {key}" if key else "")
