"""`heroes dead-letters`: the command lines, put together."""

import typer

from worker.operations.dead_letters.dropping import drop
from worker.operations.dead_letters.listing import list_letters
from worker.operations.dead_letters.replay import replay
from worker.operations.dead_letters.showing import show

dead_letters_app = typer.Typer(
    no_args_is_help=True, help="See what was set aside and why, send it again, or drop it for good."
)
dead_letters_app.command(name="list")(list_letters)
dead_letters_app.command()(show)
dead_letters_app.command()(replay)
dead_letters_app.command()(drop)
