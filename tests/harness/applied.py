"""Commands that create heroes of a test's own, and what there is when each was applied once."""

from collections.abc import Sequence

from contracts.envelope import Command
from tests.harness.commands import create
from tests.harness.ledger import everything_heard
from tests.harness.stage import Stage
from tests.harness.wire import Wire


def creates(name: str, count: int) -> list[Command]:
    """So many commands, whose heroes have names that begin with this one."""
    return [create(name=f"{name} {number}") for number in range(count)]


async def names(stage: Stage, prefix: str) -> list[str]:
    """Of the heroes that there are."""
    return [row["name"] for row in await stage.rows("SELECT name FROM hero WHERE name LIKE $1 || ' %'", prefix)]


async def assert_each_applied_once(stage: Stage, wire: Wire, commands: Sequence[Command]) -> None:
    """Of these alone: a hero, an event with one content, and no letter for each."""
    (prefix,) = {command.data.name.partition(" ")[0] for command in commands}
    assert sorted(await names(stage, prefix)) == sorted(command.data.name for command in commands)
    ledger = await everything_heard(wire)
    ledger.assert_one_event_each(commands)
    ledger.assert_one_content_each()
    assert wire.letters == []
