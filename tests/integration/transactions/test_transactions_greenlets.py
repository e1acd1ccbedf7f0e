"""What a handler's statements and the commit run in is kept, and a handler sees no difference."""

import asyncio
import resource

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.ext.asyncio.exc import AsyncMethodRequired
from sqlalchemy.orm import DeclarativeBase, Mapped, relationship, selectinload

from tests.harness.stage import Stage
from tests.harness.transacted import ADA, error_of, names
from worker.heroes import HERO
from worker.persistence.database import Database
from worker.persistence.transactions import Driver


async def test_a_command_takes_no_memory_from_the_system_that_it_gives_back_at_once(
    database: Database, stage: Stage
) -> None:
    """A mapping for each greenlet is a page fault for each: there were two in a transaction of one statement."""

    async def one() -> None:
        async with database.transactions.begin() as (_, session):
            await session.execute(insert(HERO), ADA)

    for _ in range(100):
        await one()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(400):
        await one()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 200


async def test_objects_of_the_orm_are_there_with_all_that_was_asked_for(database: Database, stage: Stage) -> None:
    """Whatever is loaded after `execute` has returned has nobody to wait for the driver."""

    class Base(DeclarativeBase):
        pass

    class Hero(Base):
        __table__ = HERO
        same_age: Mapped[list["Hero"]] = relationship(
            primaryjoin="Hero.age == foreign(remote(Hero.age))", viewonly=True, uselist=True
        )

    async with database.transactions.begin() as (_, session):
        await session.execute(insert(HERO), [{**ADA, "name": name} for name in ("Ada", "Eve")])
        heroes = await session.execute(select(Hero).options(selectinload(Hero.same_age)))
        assert [len(hero.same_age) for hero in heroes.scalars()] == [2, 2]


async def test_options_are_heeded(database: Database) -> None:
    """A cursor on the server is no way to execute, whoever asks for it."""

    async def stream(_: Driver, session: AsyncSession) -> None:
        await session.execute(text("SELECT 1"), execution_options={"stream_results": True})

    async def stream_by_the_statement(_: Driver, session: AsyncSession) -> None:
        await session.execute(text("SELECT 1").execution_options(stream_results=True))

    async def stream_by_the_connection(_: Driver, session: AsyncSession) -> None:
        await (await session.connection()).execution_options(stream_results=True)
        await session.execute(text("SELECT 1"))

    async def stream_behind_the_session(_: Driver, session: AsyncSession) -> None:
        assert isinstance(session.bind, AsyncConnection)
        await session.bind.execution_options(stream_results=True)
        await session.execute(text("SELECT 1"))

    for work in (stream, stream_by_the_statement, stream_by_the_connection, stream_behind_the_session):
        assert isinstance(await error_of(database, work), AsyncMethodRequired)


async def test_after_a_commit_that_was_cancelled_the_next_command_has_one_of_its_own(
    database: Database, stage: Stage
) -> None:
    begun = asyncio.Event()

    async def hangs(self: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def create(name: str) -> None:
        async with database.transactions.begin() as (_, session):
            await session.execute(insert(HERO), {**ADA, "name": name})

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("asyncpg.transaction.Transaction.commit", hangs)
        task = asyncio.create_task(create("Ada"))
        await begun.wait()
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
    await create("Eve")
    assert await names(stage) == ["Eve"]


@pytest.mark.parametrize("nonsense", ["SELECT 1", None])
async def test_what_is_no_statement_is_told_as_ever(database: Database, nonsense: object) -> None:
    async def execute(_: Driver, session: AsyncSession) -> None:
        await session.execute(nonsense)  # type: ignore[call-overload]  # that is the point

    assert isinstance(await error_of(database, execute), ArgumentError)
