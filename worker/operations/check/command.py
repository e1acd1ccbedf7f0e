"""The command line of `heroes check`: its findings for a person or a program, and the exit code.

It says nothing but its findings, unless it is asked for the log, too.
"""

import asyncio
import logging
import os
from collections.abc import Sequence
from typing import Annotated

import orjson
import typer
from rich.text import Text

from worker.errors import ExitCode
from worker.observability.logging import configure_logging
from worker.operations.calling import console, echo, explained
from worker.operations.check.finding import URL_VARIABLE, Finding
from worker.settings import Settings, load_settings, unknown_variables

_COLOURS = {"✗": "red", "!": "yellow", "✓": "green"}

_Wait = Annotated[float, typer.Option("--wait", min=0.1, max=600, help="Seconds for a service that does not answer.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print it for a program.")]
_Log = Annotated[bool, typer.Option("--log", help="Show the log, too, on standard error.")]


def check(wait_seconds: _Wait = 3, as_json: _AsJson = False, log: _Log = False) -> None:
    """Look at everything that a worker needs, and say what is wrong and what mends it. Changes nothing."""
    with explained():
        settings = load_settings()
        if log:
            configure_logging(settings.log_format, settings.log_level)
        else:
            logging.disable(logging.CRITICAL)
        found = [*_settings(), *asyncio.run(_look(settings, wait_seconds))]
    exit_code = max(finding.exit_code for finding in found)
    if as_json:
        document = {"findings": [finding.document() for finding in found], "exit_code": int(exit_code)}
        echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
    else:
        _print(found)
    raise typer.Exit(ExitCode(exit_code))


async def _look(settings: Settings, wait_seconds: float) -> list[Finding]:
    from worker.operations.check.broker import check_broker  # a second of imports that --help should not wait for
    from worker.operations.check.database import check_database

    found = await asyncio.gather(
        check_database(settings, wait_seconds),
        check_broker(settings, wait_seconds, os.environ.get(URL_VARIABLE)),
    )
    return [finding for part in found for finding in part]


def _settings() -> list[Finding]:
    unknown = [
        Finding.note("settings", f"{name} is no setting of the worker and is ignored", "look how it is spelt")
        for name in unknown_variables()
    ]
    return unknown or [Finding("settings", "each of them is one that the worker takes")]


def _print(found: Sequence[Finding]) -> None:
    out = console()
    for finding in found:
        out.print(Text.assemble((finding.mark, _COLOURS[finding.mark]), f" {finding.part}: {finding.told}"))
        if finding.do:
            out.print(Text(f"    → {finding.do}"))
