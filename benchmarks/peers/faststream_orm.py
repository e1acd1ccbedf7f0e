"""The textbook FastStream worker: a typed subscriber, a session and an ORM object for each message, an event by a
`@publisher`, acknowledged by itself.

It leaves out: the inbox (a redelivery creates a second hero), order, retries, the event log. The event is confirmed
before the ack, but not persistent, and lost or doubled where the process ends in between.
"""

import sys

import uvloop
from faststream import FastStream
from faststream.rabbit import Channel, RabbitBroker, RabbitExchange, RabbitQueue
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from benchmarks.peers.model import Hero, database_url, hero_data, rabbitmq_url

_PREFETCH = 50
_QUEUE = RabbitQueue("textbook.commands", durable=True)

broker = RabbitBroker(rabbitmq_url(), logger=None)
engine = create_async_engine(database_url("asyncpg"), pool_size=16, max_overflow=0)
session_of = async_sessionmaker(engine, expire_on_commit=False)


class CreateHero(BaseModel):
    """The command."""

    name: str
    secret_name: str
    age: int | None = None


class HeroCreated(BaseModel):
    """The event."""

    id: int
    name: str
    age: int | None


@broker.subscriber(_QUEUE, channel=Channel(prefetch_count=_PREFETCH))
@broker.publisher("hero.created", exchange=RabbitExchange("textbook.events"))
async def create_hero(command: CreateHero) -> HeroCreated:
    """There is a new hero; what is returned is published."""
    async with session_of() as session:
        hero = Hero(**command.model_dump())
        session.add(hero)
        await session.commit()
        await session.refresh(hero)
    return HeroCreated(id=hero.id, name=hero.name, age=hero.age)


async def fill(count: int) -> None:
    """So many commands wait."""
    async with broker:
        await broker.declare_queue(_QUEUE)
        for number in range(count):
            await broker.publish(CreateHero(**hero_data(number)), queue=_QUEUE, persist=True)


if __name__ == "__main__":
    # As its command line does where uvloop is there.
    uvloop.run(fill(int(sys.argv[2])) if sys.argv[1] == "fill" else FastStream(broker).run())
