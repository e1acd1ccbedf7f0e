"""What a batch of hero operations does, in as many statements for a thousand as for one. Replace me, or leave me out.

Every hero concerned is locked first, by id, so that two batches never wait for each other. The operations are then
decided one after the other in memory, and nothing is written before all of them are found right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Integer, Text, bindparam, column, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.batch import BatchHeroesData, CreateOperation, DeleteOperation, Operation, UpdateOperation
from worker.heroes import HERO, PUBLIC, conflict, fact, missing
from worker.outcomes import Fact, Handled, Rejection
from worker.persistence.unit_of_work import Handler

_STATE = (*PUBLIC, HERO.c.secret_name)
_LOCK = (
    select(*_STATE, func.now().label("now"))
    .where(HERO.c.id == func.any(bindparam("ids", type_=ARRAY(BigInteger))))
    .order_by(HERO.c.id)
    .with_for_update()
)
_CREATE = insert(HERO).returning(*PUBLIC, sort_by_parameter_order=True)
_COLUMNS = {"id": BigInteger, "name": Text, "secret_name": Text, "age": Integer, "version": Integer}
_NEW = (
    func.unnest(*(bindparam(f"{name}s", type_=ARRAY(kind)) for name, kind in _COLUMNS.items()))
    .table_valued(*(column(name, kind) for name, kind in _COLUMNS.items()), name="new")
    .render_derived()
)
_UPDATE = (
    update(HERO)
    .where(HERO.c.id == _NEW.c.id)
    .values({name: _NEW.c[name] for name in _COLUMNS if name != "id"} | {"updated_at": func.now()})
)
_DELETE = delete(HERO).where(HERO.c.id == func.any(bindparam("ids", type_=ARRAY(BigInteger))))


@dataclass(frozen=True, slots=True)
class _State:
    """A hero between two operations."""

    id: int
    name: str
    secret_name: str
    age: int | None
    version: int
    created_at: datetime
    updated_at: datetime
    now: datetime
    """The transaction's, by the database's clock."""


@dataclass(slots=True)
class _Heroes:
    """The heroes of one batch as they are by now, and what is to be written in the end."""

    states: dict[int, _State]
    changed: set[int] = field(default_factory=set)
    deleted: set[int] = field(default_factory=set)

    def apply(self, operation: UpdateOperation | DeleteOperation) -> Fact | Rejection:
        """What one operation makes true here, or why it doesn't."""
        state = self.states.get(operation.hero_id)
        if state is None:
            return missing(operation.hero_id)
        if operation.expected_version not in {None, state.version}:
            return conflict(operation.hero_id, operation.expected_version)
        if isinstance(operation, DeleteOperation):
            del self.states[state.id]
            self.changed.discard(state.id)
            self.deleted.add(state.id)
            return fact("hero.deleted", state)
        changes: dict[str, Any] = {**operation.changes}
        after = replace(state, **changes, version=state.version + 1, updated_at=state.now)
        self.states[state.id] = after
        self.changed.add(state.id)
        return fact("hero.updated", after, changed=sorted(operation.changes))


async def apply_batch(session: AsyncSession, data: BatchHeroesData) -> Handled:
    """Every operation took effect, in order; or none did, and the rejection names the first that could not."""
    operations = data.operations
    heroes = await _locked(session, operations)
    facts: dict[int, Fact] = {}
    for index, operation in enumerate(operations):
        if isinstance(operation, CreateOperation):
            continue  # it depends on none of the others, and none on it: nobody can know its id yet
        decided = heroes.apply(operation)
        if isinstance(decided, Rejection):
            return replace(decided, operation=index)
        facts[index] = decided
    facts |= await _created(session, operations)
    await _write(session, heroes)
    return [facts[index] for index in range(len(operations))]


HANDLERS: Mapping[str, Handler] = {"hero.batch": apply_batch}


async def _locked(session: AsyncSession, operations: Sequence[Operation]) -> _Heroes:
    wanted = {one.hero_id for one in operations if not isinstance(one, CreateOperation)}
    if not wanted:
        return _Heroes({})
    rows = (await session.execute(_LOCK, {"ids": sorted(wanted)})).mappings()
    return _Heroes({row["id"]: _State(**row) for row in rows})


async def _created(session: AsyncSession, operations: Sequence[Operation]) -> dict[int, Fact]:
    wanted = {index: one for index, one in enumerate(operations) if isinstance(one, CreateOperation)}
    if not wanted:
        return {}
    values = [{"name": one.name, "secret_name": one.secret_name, "age": one.age} for one in wanted.values()]
    rows = (await session.execute(_CREATE, values)).all()
    return {index: fact("hero.created", row) for index, row in zip(wanted, rows, strict=True)}


async def _write(session: AsyncSession, heroes: _Heroes) -> None:
    if heroes.changed:
        states = [heroes.states[hero_id] for hero_id in sorted(heroes.changed)]
        await session.execute(_UPDATE, {f"{name}s": [getattr(state, name) for state in states] for name in _COLUMNS})
    if heroes.deleted:
        await session.execute(_DELETE, {"ids": sorted(heroes.deleted)})
