"""The textbook HTTP service: FastAPI and SQLModel with an async session for each request, under uvicorn, one process.

It leaves out: the queue (a request is lost where nobody answers it), the inbox (a repeated request creates a second
hero), the event, order.
"""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from benchmarks.peers.model import database_url

engine = create_async_engine(database_url("asyncpg"), pool_size=16, max_overflow=0)
app = FastAPI()


class HeroBase(SQLModel):
    """What stands in requests."""

    name: str
    secret_name: str
    age: int | None = None


class Hero(HeroBase, table=True):  # type: ignore[call-arg]  # mypy does not follow SQLModel, see pyproject.toml
    """One row."""

    id: int | None = Field(default=None, primary_key=True)


class HeroPublic(HeroBase):
    """What stands in answers."""

    id: int


class HeroChanges(SQLModel):
    """What an update changes."""

    name: str | None = None
    secret_name: str | None = None
    age: int | None = None


async def get_session() -> AsyncIterator[AsyncSession]:
    """A session for one request."""
    async with AsyncSession(engine) as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session)]


@app.post("/heroes/", response_model=HeroPublic)
async def create_hero(hero: HeroBase, session: Session) -> Hero:
    """There is a new hero."""
    row = Hero.model_validate(hero)
    session.add(row)
    await session.commit()
    await session.refresh(row)
    return row


@app.get("/heroes/", response_model=list[HeroPublic])
async def list_heroes(session: Session, offset: int = 0, limit: int = 100) -> list[Hero]:
    """A page of heroes."""
    return list((await session.exec(select(Hero).offset(offset).limit(limit))).all())


@app.get("/heroes/{hero_id}", response_model=HeroPublic)
async def get_hero(hero_id: int, session: Session) -> Hero:
    """One hero."""
    return await _existing(hero_id, session)


@app.patch("/heroes/{hero_id}", response_model=HeroPublic)
async def update_hero(hero_id: int, changes: HeroChanges, session: Session) -> Hero:
    """The hero has the new values."""
    row = await _existing(hero_id, session)
    row.sqlmodel_update(changes.model_dump(exclude_unset=True))
    session.add(row)
    await session.commit()
    await session.refresh(row)
    return row


@app.delete("/heroes/{hero_id}")
async def delete_hero(hero_id: int, session: Session) -> dict[str, bool]:
    """The hero is gone."""
    await session.delete(await _existing(hero_id, session))
    await session.commit()
    return {"ok": True}


async def _existing(hero_id: int, session: AsyncSession) -> Hero:
    row = await session.get(Hero, hero_id)
    if row is None:
        raise HTTPException(404)
    return row
