"""Answers to hero queries. Replace me for another entity.

An answer reads and never writes: its sessions are read-only. It holds `secret_name`, since it goes to one asker only.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, bindparam, func, select

from contracts.queries import GetHeroData, ListHeroesData
from worker.heroes import HERO, PUBLIC, missing, public
from worker.outcomes import Fact, Rejection
from worker.persistence.database import Answer, Sessions

_KNOWN = (*PUBLIC, HERO.c.secret_name)
_THIS = select(*_KNOWN).where(HERO.c.id == bindparam("hero_id"))


async def get(sessions: Sessions, data: GetHeroData) -> Fact | Rejection:
    """The hero, or that there is none."""
    async with sessions() as session:
        row = (await session.execute(_THIS, {"hero_id": data.hero_id})).one_or_none()
    if row is None:
        return missing(data.hero_id)
    return Fact("hero.get.reply", str(row.id), {"hero": _known(row)})


async def get_page(sessions: Sessions, data: ListHeroesData) -> Fact | Rejection:
    """One page and the count of all, asked at the same time: under load the two may differ by what came in between."""
    page = _named(select(*_KNOWN), data).order_by(HERO.c.id).offset(data.offset).limit(data.limit)
    count = _named(select(func.count()).select_from(HERO), data)
    rows, totals = await asyncio.gather(_all(sessions, page), _all(sessions, count))
    return Fact("hero.list.reply", None, {"heroes": [_known(row) for row in rows], "total": totals[0][0]})


ANSWERS: Mapping[str, Answer] = {"hero.get": get, "hero.list": get_page}


def _named(statement: Select[Any], data: ListHeroesData) -> Select[Any]:
    return statement if data.name is None else statement.where(HERO.c.name == data.name)


async def _all(sessions: Sessions, statement: Select[Any]) -> list[Any]:
    async with sessions() as session:
        return list((await session.execute(statement)).all())


def _known(row: Any) -> dict[str, Any]:
    return {**public(row), "secret_name": row.secret_name}
