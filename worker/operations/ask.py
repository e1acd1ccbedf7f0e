"""`heroes get`, `heroes list`, `heroes events`: asks a worker, or follows what it announces, as any service would."""

import asyncio
from contextlib import aclosing, suppress
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from contracts.client import HeroesClient
from contracts.heroes import AnyEvent, CommandDeadLettered, CommandRejected
from contracts.queries import KnownHero, ListHeroesReplyData
from worker.operations.calling import AsJson, RabbitmqUrl, Timeout, console, echo, explained

ask_app = typer.Typer()

_SILENCE_SECONDS = 3.0

_Offset = Annotated[int, typer.Option(min=0, help="How many to pass over.")]
_Limit = Annotated[int, typer.Option(min=1, max=100, help="How many at most.")]
_OnlyName = Annotated[str | None, typer.Option("--name", help="Only those of exactly this name.")]


@ask_app.command()
def get(
    hero_id: Annotated[int, typer.Argument(help="The hero's id.", show_default=False)],
    rabbitmq_url: RabbitmqUrl,
    timeout_seconds: Timeout = 10,
    as_json: AsJson = False,
) -> None:
    """Show one hero, with its secret name; --json shows everything that is known of it."""

    async def ask() -> KnownHero:
        async with HeroesClient(rabbitmq_url, timeout_seconds=timeout_seconds) as client:
            return await client.get(hero_id)

    with explained():
        hero = asyncio.run(ask())
    if as_json:
        echo(hero.model_dump_json())
    else:
        console().print(_table([hero]))


@ask_app.command(name="list")
def list_heroes(  # noqa: PLR0913, PLR0917 - each parameter is an option of the command line
    rabbitmq_url: RabbitmqUrl,
    offset: _Offset = 0,
    limit: _Limit = 100,
    name: _OnlyName = None,
    timeout_seconds: Timeout = 10,
    as_json: AsJson = False,
) -> None:
    """Show a page of heroes, by id, with their secret names, and how many there are."""

    async def ask() -> ListHeroesReplyData:
        async with HeroesClient(rabbitmq_url, timeout_seconds=timeout_seconds) as client:
            return await client.list(offset=offset, limit=limit, name=name)

    with explained():
        page = asyncio.run(ask())
    if as_json:
        echo(page.model_dump_json())
    else:
        console().print(_table(page.heroes))
        console().print(f"{len(page.heroes)} of {page.total}")


@ask_app.command()
def events(
    rabbitmq_url: RabbitmqUrl,
    from_start: Annotated[bool, typer.Option("--from-start", help="Begin with the event log's history.")] = False,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Go on when there is nothing new.")] = True,
    as_json: AsJson = False,
) -> None:
    """Follow events until Ctrl-C; with --from-start --no-follow, show history and end."""

    async def show_all() -> None:
        async with aclosing(HeroesClient(rabbitmq_url).events(from_="start" if from_start else "new")) as following:
            while True:
                try:
                    async with asyncio.timeout(None if follow else _SILENCE_SECONDS):
                        event = await anext(following)
                except TimeoutError:
                    return
                if as_json:
                    echo(event.to_json())
                else:
                    console().print(_line(event))

    with explained(), suppress(KeyboardInterrupt):
        asyncio.run(show_all())


def _line(event: AnyEvent) -> str:
    if isinstance(event, CommandRejected):
        told = f"[yellow]{event.type}[/] {escape(event.data.code)}: {escape(event.data.detail)}"
    elif isinstance(event, CommandDeadLettered):
        told = f"[red]{event.type}[/] {escape(event.data.reason)}: {escape(event.data.detail)}"
    else:
        hero = event.data.hero
        told = f"[green]{event.type}[/] {hero.id} {escape(hero.name)}, version {hero.version}"
    return f"{told} [dim]command {escape(event.causationid)}, event {event.id}[/]"


def _table(heroes: Any) -> Table:
    table = Table("id", "name", "secret name", "age", "version", box=None, pad_edge=False)
    for hero in heroes:
        age = "" if hero.age is None else str(hero.age)
        table.add_row(str(hero.id), escape(hero.name), escape(hero.secret_name), age, str(hero.version))
    return table
