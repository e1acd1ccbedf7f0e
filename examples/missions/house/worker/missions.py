"""The mission table and its handlers. Takes the place of heroes.py.

A handler runs in the caller's transaction: it never commits and never publishes.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    PrimaryKeyConstraint,
    Table,
    Text,
    bindparam,
    false,
    insert,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.missions import FinishMissionData, PlanMissionData
from worker.outcomes import Fact, Handled, Rejection
from worker.persistence.tables import METADATA
from worker.persistence.unit_of_work import Handler

MISSION = Table(
    "mission",
    METADATA,
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("title", Text, nullable=False),
    Column("finished", Boolean, server_default=false(), nullable=False),
    PrimaryKeyConstraint("id", name="pk_mission"),
)
_PUBLIC = (MISSION.c.id, MISSION.c.title, MISSION.c.finished)
_PLAN = insert(MISSION).returning(*_PUBLIC)  # built once, not for each command
_FINISH = (
    update(MISSION)
    .where(MISSION.c.id == bindparam("mission_id"), ~MISSION.c.finished)
    .values(finished=true())
    .returning(*_PUBLIC)
)


async def plan(session: AsyncSession, data: PlanMissionData) -> Handled:
    """There is a new mission."""
    row = (await session.execute(_PLAN, {"title": data.title})).one()
    return [_fact("mission.planned", row)]


async def finish(session: AsyncSession, data: FinishMissionData) -> Handled:
    """The mission is done; only once."""
    row = (await session.execute(_FINISH, {"mission_id": data.mission_id})).one_or_none()
    if row is None:
        return Rejection("no_open_mission", f"there is no open mission {data.mission_id}", str(data.mission_id))
    return [_fact("mission.finished", row)]


HANDLERS: Mapping[str, Handler] = {"mission.plan": plan, "mission.finish": finish}


def _fact(kind: str, row: Any) -> Fact:
    return Fact(kind, str(row.id), {"mission": {"id": row.id, "title": row.title, "finished": row.finished}})
