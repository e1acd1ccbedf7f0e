"""The textbook FastStream worker: a typed subscriber, a session and ORM objects for each message, an event by a
`@publisher`, acknowledged by itself.

`create_hero` leaves out: the inbox (a redelivery creates a second hero), order, retries (an error loses the command).
`create_once` has an inbox. The event of a command whose process ends between commit and publication is lost. Queues are
classic ones. The hero is refreshed after the commit, as the tutorials of FastAPI and SQLModel do.
"""

import sys
from uuid import UUID

import uvloop
from faststream import FastStream
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue
from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from benchmarks.peers.model import Handled, Hero, command, database_url, rabbitmq_url

_PREFETCH = 50
_QUEUE = RabbitQueue("textbook.commands", durable=True)
_ONCE_QUEUE = RabbitQueue("textbook.once", durable=True)
_EVENTS = RabbitQueue("textbook.events", durable=True)

broker = RabbitBroker(rabbitmq_url(), logger=None)
engine = create_async_engine(database_url("asyncpg"), pool_size=16, max_overflow=0)
session_of = async_sessionmaker(engine, expire_on_commit=False)
announcement = broker.publisher(_EVENTS, persist=True)


class CreateHero(BaseModel):
    """The command."""

    command_id: UUID
    name: str
    secret_name: str
    age: int | None = None

    def hero(self) -> Hero:
        """What it asks for."""
        return Hero(**self.model_dump(exclude={"command_id"}))


class HeroCreated(BaseModel):
    """The event."""

    id: int
    name: str
    age: int | None


@broker.subscriber(_QUEUE, channel=Channel(prefetch_count=_PREFETCH))
@broker.publisher(_EVENTS, persist=True)
async def create_hero(command: CreateHero) -> HeroCreated:
    """There is a new hero; what is returned is published."""
    async with session_of() as session:
        hero = command.hero()
        session.add(hero)
        await session.commit()
        await session.refresh(hero)
    return HeroCreated(id=hero.id, name=hero.name, age=hero.age)


@broker.subscriber(_ONCE_QUEUE, channel=Channel(prefetch_count=_PREFETCH))
async def create_once(command: CreateHero) -> None:
    """There is a new hero for this command, and an event tells of it."""
    async with session_of() as session:
        hero = command.hero()
        session.add_all([Handled(command_id=command.command_id), hero])
        try:
            await session.commit()
        except IntegrityError:
            return  # handled before
        await session.refresh(hero)
    await announcement.publish(HeroCreated(id=hero.id, name=hero.name, age=hero.age))


async def fill(task: str, count: int) -> None:
    """So many commands wait."""
    async with broker:
        await broker.declare_queue(_EVENTS)
        queue = await broker.declare_queue(_ONCE_QUEUE if task == "create_once" else _QUEUE)
        for number in range(count):
            await broker.publish(CreateHero(**command(number)), queue=queue.name, persist=True)


if __name__ == "__main__":
    # As its command line does where uvloop is there.
    uvloop.run(FastStream(broker).run() if sys.argv[1] == "work" else fill(sys.argv[1], int(sys.argv[2])))
