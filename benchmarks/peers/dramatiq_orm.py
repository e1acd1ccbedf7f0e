"""The textbook dramatiq worker: an actor with a session and ORM objects, two processes with four threads each.

`create_hero` leaves out: the inbox (a redelivery creates a second hero), the event, order. `create_once` has both, but
neither order nor the event of a command whose process ends between commit and publication. Both acknowledge after the
work. Queues are classic ones.
"""

import sys
from uuid import UUID

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from sqlalchemy import create_engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import sessionmaker

from benchmarks.peers.model import Handled, Hero, command, database_url, hero_data, rabbitmq_url

broker = RabbitmqBroker(url=rabbitmq_url(), confirm_delivery=True)
dramatiq.set_broker(broker)
engine = create_engine(database_url("psycopg"))
session_of = sessionmaker(engine, expire_on_commit=False)


@dramatiq.actor
def create_hero(name: str, secret_name: str, age: int | None) -> None:
    """There is a new hero."""
    with session_of() as session:
        session.add(Hero(name=name, secret_name=secret_name, age=age))
        session.commit()


@dramatiq.actor
def create_once(command_id: str, name: str, secret_name: str, age: int | None) -> None:
    """There is a new hero for this command, and an event tells of it."""
    with session_of() as session:
        hero = Hero(name=name, secret_name=secret_name, age=age)
        session.add_all([Handled(command_id=UUID(command_id)), hero])
        try:
            session.commit()
        except IntegrityError:
            return  # handled before
    hero_created.send(command_id, hero.id, hero.name, hero.age)


@dramatiq.actor(queue_name="dramatiq.events")
def hero_created(command_id: str, hero_id: int, name: str, age: int | None) -> None:
    """The event, for whoever works on that queue."""


if __name__ == "__main__":
    for one in range(int(sys.argv[2])):
        if sys.argv[1] == "create_once":
            create_once.send(**command(one))
        else:
            create_hero.send(**hero_data(one))
    broker.close()
