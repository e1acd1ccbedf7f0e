"""What to do with a dead letter, in one sentence for each reason."""

from worker.outcomes import Reason

_ADVICE: dict[str, str] = {
    Reason.INVALID_COMMAND: (
        "Its publisher breaks the contract (the detail says where): have it send a right one under a new id, "
        "then drop this."
    ),
    Reason.UNKNOWN_TYPE: "No worker takes this type: deploy one that does, then replay; or drop it.",
    Reason.ID_REUSED: "Another command has this id already: have it sent under an id of its own, then drop this.",
    Reason.RETRIES_EXHAUSTED: "The database refused it every time (SQLSTATE in the detail): mend that, then replay.",
    Reason.HANDLER_FAILED: "The worker's own code raised (its log says where): deploy the cure, then replay.",
    Reason.CRASHED_WORKER: "It ends the worker's process: deploy the cure first, then replay.",
    "delivery_limit": (
        "Workers took it 100 times and never came to an end: find out why (restarts? memory?), then replay."
    ),
    "expired": "It was too old when its turn came: replay it if it is still wanted, else drop it.",
}
_OTHERWISE = "Not set aside by this worker: look at its headers, then replay it, or drop it."


def advice(reason: str) -> str:
    """One short sentence."""
    return _ADVICE.get(reason, _OTHERWISE)
