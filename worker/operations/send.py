"""`heroes send`: sends one command as any publisher would, waits for its outcome and prints it.

Exit code 0 only if the command was applied; 1 if it was rejected or dead-lettered, 3 if nobody answered in time.
"""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.markup import escape

from contracts.client import HeroesClient
from contracts.envelope import Command, Data
from contracts.heroes import (
    AnyEvent,
    CommandDeadLettered,
    CommandRejected,
    CreateHero,
    CreateHeroData,
    DeleteHero,
    DeleteHeroData,
    UpdateHero,
    UpdateHeroData,
)
from worker.errors import ExitCode
from worker.operations.calling import AsJson, OutputError, RabbitmqUrl, Timeout, console, echo, explained, tell
from worker.operations.send_batch import send_batch

SOURCE = "/heroes-cli"

send_app = typer.Typer(no_args_is_help=True, help="Send a command as a publisher would, and wait for its outcome.")

_Id = Annotated[str | None, typer.Option("--id", help="The command's id, to send it again; fresh if left out.")]
_Expected = Annotated[int | None, typer.Option("--expected-version", help="Only if the hero has this version.")]
_HeroId = Annotated[int, typer.Argument(help="The hero's id.", show_default=False)]
_Name = typer.Option("--name", help="What everybody may know.")
_SecretName = typer.Option("--secret-name", help="What stands in no event and no log.")
_Age = typer.Option("--age", help="In years.")


@send_app.command()
def create(  # noqa: PLR0913, PLR0917 - each parameter is an option of the command line, here and below
    rabbitmq_url: RabbitmqUrl,
    name: Annotated[str, _Name],
    secret_name: Annotated[str, _SecretName],
    age: Annotated[int | None, _Age] = None,
    command_id: _Id = None,
    timeout_seconds: Timeout = 30,
    as_json: AsJson = False,
) -> None:
    """Create a hero."""
    data = _given(name=name, secret_name=secret_name, age=age)
    _Sender(rabbitmq_url, timeout_seconds, as_json).send(CreateHero, CreateHeroData, data, command_id)


@send_app.command()
def update(  # noqa: PLR0913, PLR0917 - as above
    rabbitmq_url: RabbitmqUrl,
    hero_id: _HeroId,
    name: Annotated[str | None, _Name] = None,
    secret_name: Annotated[str | None, _SecretName] = None,
    age: Annotated[int | None, _Age] = None,
    clear_age: Annotated[bool, typer.Option("--clear-age", help="Make the age unknown.")] = False,
    expected_version: _Expected = None,
    command_id: _Id = None,
    timeout_seconds: Timeout = 30,
    as_json: AsJson = False,
) -> None:
    """Change a hero; what is not named stays as it is."""
    if clear_age and age is not None:
        raise typer.BadParameter("--age and --clear-age exclude each other")
    changes = _given(name=name, secret_name=secret_name, age=age) | ({"age": None} if clear_age else {})
    data = {"hero_id": hero_id, "changes": changes} | _given(expected_version=expected_version)
    _Sender(rabbitmq_url, timeout_seconds, as_json).send(UpdateHero, UpdateHeroData, data, command_id)


@send_app.command()
def delete(  # noqa: PLR0913, PLR0917 - as above
    rabbitmq_url: RabbitmqUrl,
    hero_id: _HeroId,
    expected_version: _Expected = None,
    command_id: _Id = None,
    timeout_seconds: Timeout = 30,
    as_json: AsJson = False,
) -> None:
    """Delete a hero."""
    data = {"hero_id": hero_id} | _given(expected_version=expected_version)
    _Sender(rabbitmq_url, timeout_seconds, as_json).send(DeleteHero, DeleteHeroData, data, command_id)


send_app.command(name="batch")(send_batch)


@dataclass(frozen=True, slots=True)
class _Sender:
    """Sends one command with the options that all of them share, prints its outcome and exits."""

    rabbitmq_url: str
    timeout_seconds: float
    as_json: bool

    def send(self, kind: type[Command], shape: type[Data], data: dict[str, Any], command_id: str | None) -> None:
        with explained():
            command = kind.new(shape(**data), source=SOURCE, **_given(id=command_id))
            event = asyncio.run(self._outcome(command))
        try:
            self._show(event)
        except OutputError:
            tell(f"command {command.id}: {event.type}")  # whoever sends it anew knows what has happened
            raise
        refused = isinstance(event, CommandRejected | CommandDeadLettered)
        raise typer.Exit(ExitCode.REFUSED if refused else ExitCode.DONE)

    async def _outcome(self, command: Command) -> AnyEvent:
        async with HeroesClient(self.rabbitmq_url, timeout_seconds=self.timeout_seconds) as client:
            return await client.call(command)

    def _show(self, event: AnyEvent) -> None:
        if self.as_json:
            echo(event.to_json())
        elif isinstance(event, CommandRejected):
            console().print(f"[yellow]✗ rejected[/] ({event.data.code}): {escape(event.data.detail)}")
        elif isinstance(event, CommandDeadLettered):
            console().print(f"[red]✗ dead-lettered[/] ({event.data.reason}): {escape(event.data.detail)}")
        else:
            hero = event.data.hero
            told = f"id {hero.id}, name {hero.name}, age {hero.age if hero.age is not None else 'unknown'}"
            console().print(f"[green]✓ {event.type}[/] {escape(told)}, version {hero.version}")


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
