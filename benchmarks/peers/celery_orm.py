"""The textbook Celery worker: a task with a session and ORM objects, two processes (one for each core).

`create_hero` leaves out: the inbox (a redelivery creates a second hero), the event, order; it is acknowledged before it
runs, as Celery does by default, so one that the process dies with is lost. `create_once` has an inbox and a confirmed
event and acknowledges afterwards, but has neither order nor retries (an error loses the command) nor the event of a
command whose process ends between commit and publication. Queues are classic ones.
"""

import sys
from uuid import UUID

from celery import Celery
from sqlalchemy import create_engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import sessionmaker

from benchmarks.peers.model import Handled, Hero, command, database_url, hero_data, rabbitmq_url

app = Celery("heroes", broker=rabbitmq_url())
app.conf.task_ignore_result = True
app.conf.broker_transport_options = {"confirm_publish": True}
engine = create_engine(database_url("psycopg"))
session_of = sessionmaker(engine, expire_on_commit=False)


# Named, as the worker imports this module under another name than who fills the queue.
@app.task(name="create_hero")
def create_hero(name: str, secret_name: str, age: int | None) -> None:
    """There is a new hero."""
    with session_of() as session:
        session.add(Hero(name=name, secret_name=secret_name, age=age))
        session.commit()


@app.task(name="create_once", acks_late=True, reject_on_worker_lost=True)
def create_once(command_id: str, name: str, secret_name: str, age: int | None) -> None:
    """There is a new hero for this command, and an event tells of it."""
    with session_of() as session:
        hero = Hero(name=name, secret_name=secret_name, age=age)
        session.add_all([Handled(command_id=UUID(command_id)), hero])
        try:
            session.commit()
        except IntegrityError:
            return  # handled before
    app.send_task("hero_created", (command_id, hero.id, hero.name, hero.age), queue="celery.events")


if __name__ == "__main__":
    for one in range(int(sys.argv[2])):
        if sys.argv[1] == "create_once":
            create_once.delay(**command(one))
        else:
            create_hero.delay(**hero_data(one))
