"""The textbook dramatiq worker: an actor with a session and an ORM object, two processes with four threads each.

It leaves out: the inbox (a redelivery creates a second hero), the event, order. It acknowledges after the work.
"""

import sys

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from benchmarks.peers.model import Hero, database_url, hero_data, rabbitmq_url

broker = RabbitmqBroker(url=rabbitmq_url())
dramatiq.set_broker(broker)
engine = create_engine(database_url("psycopg"))
session_of = sessionmaker(engine)


@dramatiq.actor
def create_hero(name: str, secret_name: str, age: int | None) -> None:
    """There is a new hero."""
    with session_of() as session:
        session.add(Hero(name=name, secret_name=secret_name, age=age))
        session.commit()


if __name__ == "__main__":
    for one in range(int(sys.argv[2])):
        create_hero.send(**hero_data(one))
    broker.close()
