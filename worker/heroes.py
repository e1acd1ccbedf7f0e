"""The hero table and what each command does to it. Replace me for another entity.

A handler runs in the caller's transaction: it never commits, never publishes and never puts `secret_name` in a fact.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Identity,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.envelope import rfc3339
from contracts.heroes import CreateHeroData, DeleteHeroData, UpdateHeroData
from worker.outcomes import Fact, Handled, Rejection
from worker.persistence.tables import METADATA, MOMENT
from worker.persistence.unit_of_work import Handler

HERO = Table(
    "hero",
    METADATA,
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("name", Text, nullable=False, index=True),
    Column("secret_name", Text, nullable=False),
    Column("age", Integer, index=True),
    Column("version", Integer, server_default=text("1"), nullable=False),  # grows by one at each change
    Column("created_at", MOMENT, server_default=text("now()"), nullable=False),
    Column("updated_at", MOMENT, server_default=text("now()"), nullable=False),
    PrimaryKeyConstraint("id", name="pk_hero"),
)

PUBLIC = (HERO.c.id, HERO.c.name, HERO.c.age, HERO.c.version, HERO.c.created_at, HERO.c.updated_at)
_THIS = HERO.c.id == bindparam("hero_id")
_EXPECTED = bindparam("expected_version", type_=Integer)
_AS_EXPECTED = _EXPECTED.is_(None) | (HERO.c.version == _EXPECTED)
_CREATE = insert(HERO).returning(*PUBLIC)
_UPDATE = (  # sets what the parameters name besides; one that is no column would be passed over in silence
    update(HERO).where(_THIS, _AS_EXPECTED).values(version=HERO.c.version + 1, updated_at=func.now()).returning(*PUBLIC)
)
_DELETE = delete(HERO).where(_THIS, _AS_EXPECTED).returning(*PUBLIC)
_IS_THERE = select(HERO.c.id).where(_THIS)


async def create(session: AsyncSession, data: CreateHeroData) -> Handled:
    """There is a new hero of version 1."""
    values = {"name": data.name, "secret_name": data.secret_name, "age": data.age}
    row = (await session.execute(_CREATE, values)).one()
    return [fact("hero.created", row)]


async def apply_update(session: AsyncSession, data: UpdateHeroData) -> Handled:
    """The hero has the new values and the next version."""
    values = {**data.changes, "hero_id": data.hero_id, "expected_version": data.expected_version}
    row = (await session.execute(_UPDATE, values)).one_or_none()
    if row is None:
        return await _refusal(session, data.hero_id, data.expected_version)
    return [fact("hero.updated", row, changed=sorted(data.changes))]


async def apply_delete(session: AsyncSession, data: DeleteHeroData) -> Handled:
    """The hero is gone; the fact tells how it was last."""
    values = {"hero_id": data.hero_id, "expected_version": data.expected_version}
    row = (await session.execute(_DELETE, values)).one_or_none()
    if row is None:
        return await _refusal(session, data.hero_id, data.expected_version)
    return [fact("hero.deleted", row)]


HANDLERS: Mapping[str, Handler] = {
    "hero.create": create,
    "hero.update": apply_update,
    "hero.delete": apply_delete,
}


async def last_change(session: AsyncSession, keys: Sequence[str]) -> datetime | None:
    """When one of the heroes with these ids was changed last; None if none of them is there."""
    ids = [int(key) for key in keys]
    changed: datetime | None = await session.scalar(select(func.max(HERO.c.updated_at)).where(HERO.c.id.in_(ids)))
    return changed


async def _refusal(session: AsyncSession, hero_id: int, expected_version: int | None) -> Rejection:
    """Why no row matched: asked only then, so that the usual command takes one statement."""
    there = await session.scalar(_IS_THERE, {"hero_id": hero_id})
    return missing(hero_id) if there is None or expected_version is None else conflict(hero_id, expected_version)


def missing(hero_id: int) -> Rejection:
    """There is no such hero."""
    return Rejection("hero_not_found", f"there is no hero {hero_id}", str(hero_id))


def conflict(hero_id: int, expected_version: int | None) -> Rejection:
    """The hero has changed since."""
    return Rejection("version_conflict", f"hero {hero_id} is not at version {expected_version}", str(hero_id))


def fact(kind: str, row: Any, **more: Any) -> Fact:
    """The fact about the hero of this row, or of anything that looks like one."""
    return Fact(kind, str(row.id), {"hero": public(row), **more})


def public(row: Any) -> dict[str, Any]:
    """What everybody may know of a hero."""
    return {
        "id": row.id,
        "name": row.name,
        "age": row.age,
        "version": row.version,
        "created_at": rfc3339(row.created_at),
        "updated_at": rfc3339(row.updated_at),
    }
