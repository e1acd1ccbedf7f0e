"""What stands on the page for eyes, made up: a calm worker, and one about which everything is wrong and hostile."""

from dataclasses import replace

from contracts.channels import DEAD_LETTERS, command_queues
from worker.observability.readings import Reading
from worker.observability.recent import Recent
from worker.ops.facts import Facts, GateFact, Owed, QueueFact
from worker.ops.letters import grouped
from worker.ops.pace import Rate, Tempo
from worker.outcomes import Letter, Traits

NOW = 1_800_000_000.0
PARTS = ("worker", "commands", "publishing", "gate", "database", "schema", "topology")
HOSTILE = "\u202e\u200f<script>alert(1)</script><img src=x onerror=alert(2)>\"'` --reveal\n$(reboot)\x00\x1b[2J\ud800"


def recent(*letters: tuple[Traits, Letter]) -> Recent:
    """As if a worker had set these aside."""
    remembered = Recent()
    for letter in letters:
        remembered.set_aside(*letter)
    return remembered


def calm() -> Facts:
    """All is well."""
    settled = Rate("hero.create", "applied", 1_234_567, 812.4, 640.2)
    return Facts(
        at=NOW,
        parts=dict.fromkeys(PARTS),
        parts_not_known="",
        tempo=Tempo(3600, 60, (settled,), {"refused": 0, "bug": 0, "away": 0}, 0.012, 0.48, 600),
        owed=Owed(0, 0, NOW - 10),
        letters=grouped(Recent()),
        sweep_after_seconds=60,
        gate=GateFact(None, 0, 0),
        reading=Reading(4, 1, {}, False, 0, 3, 16, 5, False, 18, 18),
        queues=tuple(QueueFact(name, 0, 1, "", True, 0) for name in command_queues()),
    )


def hostile() -> Facts:
    """Whatever a message, a name or an error can say, at great length."""
    long = HOSTILE * 1000
    letters = [(Traits(f"{number}{long}", f"{number}{long}"), Letter(long, long)) for number in range(300)]
    broken = QueueFact(f"heroes.{'x' * 300}", None, None, long, False, 10**12, True)
    word = QueueFact(DEAD_LETTERS, 10**12, 0)
    return replace(
        calm(),
        parts=dict.fromkeys(PARTS, long),
        letters=grouped(recent(*letters)),
        gate=GateFact(long, 1e9, 1e9),
        queues=(word, broken, *(QueueFact(name, 10**9, 10**6, "", False, 32, True) for name in command_queues())),
        queues_not_known=long,
        owed=Owed(10**9, 1e9, 0),
    )
