"""`make demo`: from nothing to the main job before a newcomer's eyes, in one run.

Invariant: everything that it shows has really happened and was checked; however it ends, nothing of it runs on.
"""

import os
import signal
import sys
import time
from contextlib import ExitStack
from types import FrameType
from typing import NoReturn

import asyncpg
import uvloop
from aiormq.exceptions import AMQPError
from rich.live import Live

from contracts.client import HeroesClient, NotConfirmedError, OutcomeTimeoutError
from worker.local import demo_load, demo_tables
from worker.local.demo_promise import BrokenPromiseError, require
from worker.local.demo_screen import Screen, progress
from worker.local.demo_story import DUPLICATE_NOTE, SECRETS, Story
from worker.local.demo_wire import Wire, listening
from worker.local.demo_worker import DemoWorker, environment, set_up
from worker.local.errors import LocalServicesError
from worker.local.services import Services, without_password
from worker.local.ways import local_services

_FAILURES = (BrokenPromiseError, LocalServicesError, NotConfirmedError, OutcomeTimeoutError)
_OUTAGES = (AMQPError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
FAILED, INTERRUPTED = 1, 130


def main() -> int:
    """The exit code: 0 only if everything was as promised."""
    screen = Screen()
    signal.signal(signal.SIGINT, _leave)
    try:
        _demonstrate(screen)
    except _FAILURES as failure:
        screen.failed(str(failure))
        return FAILED
    except _OUTAGES as outage:
        screen.failed(f"A service was lost: {type(outage).__name__}: {outage}")
        return FAILED
    except KeyboardInterrupt:
        screen.failed("Interrupted; nothing is left running.")
        return INTERRUPTED
    return 0


def _demonstrate(screen: Screen) -> None:
    began = time.monotonic()
    screen.title()
    with ExitStack() as stack:
        screen.heading("From nothing")
        services, rabbitmq_url, database_url = _services(screen, stack)
        environ = environment(rabbitmq_url, database_url)
        with screen.step("heroes setup", "heroes setup: tables, exchanges and queues are there"):
            set_up(environ)
        with screen.step("heroes worker", "heroes worker is ready") as step:
            worker = stack.enter_context(DemoWorker(environ, screen))
            step.done += f": {worker.health_url}"
        uvloop.run(_commands(screen, rabbitmq_url, database_url))
        with screen.step("asking the worker to leave", "the worker finished what it had in hand, and left"):
            worker.leave()
    brought = "The demo's virtual host and database are" if services.way == "env" else "RabbitMQ and PostgreSQL are"
    screen.what_next(time.monotonic() - began, f"{brought} gone again.")


def _services(screen: Screen, stack: ExitStack) -> tuple[Services, str, str]:
    """A virtual host and a database of our own, whoever else uses the servers."""
    with screen.step("Bringing RabbitMQ and PostgreSQL", "") as step:
        services = stack.enter_context(local_services(os.environ, step.say))
        rabbitmq_url = stack.enter_context(services.virtual_host("demo"))
        database_url = stack.enter_context(services.database("demo"))
        step.done = f"RabbitMQ and PostgreSQL, {_WAYS[services.way]}"
    for url in (rabbitmq_url, database_url):
        screen.console.print(f"  [dim]{without_password(url)}[/]")
    return services, rabbitmq_url, database_url


_WAYS = {
    "env": "as HEROES_RABBITMQ_URL and HEROES_DATABASE_URL name them",
    "docker": "as containers that go with this demo",
    "private": "as private servers that go with this demo",
}


async def _commands(screen: Screen, rabbitmq_url: str, database_url: str) -> None:
    async with listening(rabbitmq_url) as wire, HeroesClient(rabbitmq_url) as client:
        screen.heading("Every kind of command, beside the event that came of it")
        shown = demo_tables.outcomes()
        with Live(shown, console=screen.console):
            story = Story(client, wire, lambda line: demo_tables.add_outcome(shown, line))
            await story.tell()
        screen.end_live()
        await _look(screen, wire, story, database_url)
        screen.heading(f"{demo_load.COMMANDS:,} commands".replace(",", " "))
        with progress(screen.console) as bar:
            rate = await demo_load.Load(client, wire, bar).run()
        await demo_load.check(wire, database_url)
        screen.well(f"{demo_load.COMMANDS} commands, {demo_load.COMMANDS} rows, {demo_load.COMMANDS} distinct events")
        screen.well(f"{rate:.0f} a second, by one worker on {os.cpu_count()} processors that all the rest shares")
        await _check_the_rest(screen, wire)


async def _look(screen: Screen, wire: Wire, story: Story, database_url: str) -> None:
    screen.heading(f"What {await demo_tables.postgresql(database_url)} holds now")
    screen.console.print(await demo_tables.heroes(database_url))
    screen.console.print()
    screen.console.print(await demo_tables.inbox(database_url, story))
    screen.heading(f"What {wire.broker} holds now")
    screen.console.print(await demo_tables.queues(wire))
    screen.console.print()
    screen.console.print(demo_tables.letter(await wire.dead_letter(), story.malformed))


async def _check_the_rest(screen: Screen, wire: Wire) -> None:
    every = [one for events in wire.heard.values() for one in events]
    distinct = [{one.event.id for one in events} for events in wire.heard.values()]
    require(all(len(ids) == 1 for ids in distinct), DUPLICATE_NOTE)  # one may come twice: its id tells
    require(not any(secret.encode() in one.body for one in every for secret in SECRETS), "no event tells a secret name")
    require((await demo_tables.commands(wire)).ready == 0, "no command waits any more")
    screen.well("one event for each command, however often sent; none tells a secret name")
    screen.well("no command waits any more")


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one must not interrupt the clean-up
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
