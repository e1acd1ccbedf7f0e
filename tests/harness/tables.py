"""Questions and changes to the tables of a database, past the worker, on connections that nobody keeps."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool


@asynccontextmanager
async def engine_for(url: str) -> AsyncIterator[AsyncEngine]:
    """An engine that keeps no connection."""
    one = create_async_engine(url, poolclass=NullPool)
    try:
        yield one
    finally:
        await one.dispose()


async def asked(engine: AsyncEngine, question: str) -> Any:
    """The first value of the answer."""
    async with engine.begin() as connection:
        return (await connection.execute(text(question))).scalar()


async def told(engine: AsyncEngine, statement: str) -> None:
    """The statement is committed."""
    async with engine.begin() as connection:
        await connection.execute(text(statement))
