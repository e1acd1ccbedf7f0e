"""What many commands had for effects: the heroes that they made, and their rows in the inbox."""

from collections.abc import Sequence

from contracts.envelope import Command
from tests.harness.ledger import Ledger
from tests.harness.stage import Stage
from tests.harness.wire import Wire


def heroes_of(wire: Wire, creates: Sequence[Command]) -> list[int]:
    """The ids of the heroes that these commands made, in their order, as their events tell."""
    ids = {event["causationid"]: event["data"]["hero"]["id"] for event in Ledger.of(wire).first}
    return [ids[command.id] for command in creates]


async def assert_inbox_holds(stage: Stage, commands: Sequence[Command]) -> None:
    """Each of them has one row: applied, and its events are out."""
    ids = [command.id for command in commands]
    rows = await stage.rows("SELECT outcome, published_at FROM inbox WHERE command_id = ANY($1)", ids)
    assert len(rows) == len(ids)
    assert all(row["outcome"] == "applied" and row["published_at"] for row in rows)
