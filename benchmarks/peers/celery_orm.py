"""The textbook Celery worker: a task with a session and an ORM object, two processes (one for each core).

It leaves out: the inbox (a redelivery creates a second hero), the event, order; a task is acknowledged before it runs,
as Celery does by default, so one that the process dies with is lost.
"""

import sys

from celery import Celery
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from benchmarks.peers.model import Hero, database_url, hero_data, rabbitmq_url

app = Celery("heroes", broker=rabbitmq_url())
app.conf.task_ignore_result = True
engine = create_engine(database_url("psycopg"))
session_of = sessionmaker(engine)


@app.task(name="create_hero")  # the worker imports this module under another name than who fills the queue
def create_hero(name: str, secret_name: str, age: int | None) -> None:
    """There is a new hero."""
    with session_of() as session:
        session.add(Hero(name=name, secret_name=secret_name, age=age))
        session.commit()


if __name__ == "__main__":
    for one in range(int(sys.argv[2])):
        create_hero.delay(**hero_data(one))
