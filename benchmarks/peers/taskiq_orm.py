"""The textbook taskiq worker over taskiq-aio-pika: an async task with a session and an ORM object, two processes.

It leaves out: the inbox (a redelivery creates a second hero), the event, order. It acknowledges after the work.
"""

import asyncio
import sys

from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from taskiq_aio_pika import AioPikaBroker

from benchmarks.peers.model import Hero, database_url, hero_data, rabbitmq_url

broker = AioPikaBroker(rabbitmq_url())
engine = create_async_engine(database_url("asyncpg"))
session_of = async_sessionmaker(engine, expire_on_commit=False)


@broker.task(task_name="create_hero")
async def create_hero(name: str, secret_name: str, age: int | None) -> None:
    """There is a new hero."""
    async with session_of() as session:
        session.add(Hero(name=name, secret_name=secret_name, age=age))
        await session.commit()


async def fill(count: int) -> None:
    """So many tasks wait."""
    await broker.startup()
    for number in range(count):
        await create_hero.kiq(**hero_data(number))
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(fill(int(sys.argv[2])))
