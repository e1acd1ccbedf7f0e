"""The textbook taskiq worker over taskiq-aio-pika: an async task with a session and ORM objects, two processes.

`create_hero` leaves out: the inbox (a redelivery creates a second hero), the event, order. `create_once` has both, but
neither order nor retries (an error loses the command) nor the event of a command whose process ends between commit and
publication. Both acknowledge after the work. Queues are quorum queues.
"""

import asyncio
import sys
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from taskiq import TaskiqEvents, TaskiqState
from taskiq_aio_pika import AioPikaBroker, Queue

from benchmarks.peers.model import Handled, Hero, command, database_url, hero_data, rabbitmq_url

broker = AioPikaBroker(rabbitmq_url())
announcements = AioPikaBroker(rabbitmq_url(), task_queues=[Queue(name="taskiq.events")])
engine = create_async_engine(database_url("asyncpg"))
session_of = async_sessionmaker(engine, expire_on_commit=False)


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def open_announcements(_: TaskiqState) -> None:
    """Events can be sent."""
    await announcements.startup()


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def close_announcements(_: TaskiqState) -> None:
    """No connection is left."""
    await announcements.shutdown()


@broker.task(task_name="create_hero")
async def create_hero(name: str, secret_name: str, age: int | None) -> None:
    """There is a new hero."""
    async with session_of() as session:
        session.add(Hero(name=name, secret_name=secret_name, age=age))
        await session.commit()


@broker.task(task_name="create_once")
async def create_once(command_id: str, name: str, secret_name: str, age: int | None) -> None:
    """There is a new hero for this command, and an event tells of it."""
    async with session_of() as session:
        hero = Hero(name=name, secret_name=secret_name, age=age)
        session.add_all([Handled(command_id=UUID(command_id)), hero])
        try:
            await session.commit()
        except IntegrityError:
            return  # handled before
    await hero_created.kiq(command_id, hero.id, hero.name, hero.age)


@announcements.task(task_name="hero_created")
async def hero_created(command_id: str, hero_id: int, name: str, age: int | None) -> None:
    """The event, for whoever works on that queue."""


async def fill(task: str, count: int) -> None:
    """So many tasks wait."""
    await broker.startup()
    for number in range(count):
        if task == "create_once":
            await create_once.kiq(**command(number))
        else:
            await create_hero.kiq(**hero_data(number))
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(fill(sys.argv[1], int(sys.argv[2])))
