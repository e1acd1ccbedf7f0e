"""`make run`: RabbitMQ, PostgreSQL and a worker in the foreground, and what to type in a second terminal.

Invariant: Ctrl-C lets the worker finish what it has in hand before the services go; only the export line has passwords.
"""

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from types import FrameType

from rich.console import Console
from rich.text import Text

from worker.local.demo_worker import heroes
from worker.local.errors import LocalServicesError
from worker.local.probes import free_ports
from worker.local.services import Services, without_password
from worker.local.ways import DATABASE_VARIABLE, MANAGEMENT_VARIABLE, RABBITMQ_VARIABLE, local_services

HTTP_PORT_VARIABLE = "HEROES_HTTP_PORT"
USUAL_HTTP_PORT = 8080
LEAVE_WITH = "--leave-with"  # as the supervisor calls it: this room and the worker know nothing of each other
SERVICE_AWAY = 3
_TOLD = (RABBITMQ_VARIABLE, DATABASE_VARIABLE, MANAGEMENT_VARIABLE)
_EXAMPLES = (
    ("heroes send create --name Deadpond --secret-name 'Dive Wilson'", "a command, and what became of it"),
    ("heroes send update 1 --age 29", ""),
    ("heroes check", "is everything as it should be?"),
    ("heroes --help", "all the rest"),
)


def main() -> int:
    """The worker's exit code: 0 after a Ctrl-C."""
    console = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)
    try:
        with local_services(os.environ, lambda line: console.print(Text(f"· {line}", style="dim"))) as services:
            environ = _environment(services)
            prepared = subprocess.run(heroes("setup"), env=environ, check=False)  # noqa: S603 - our own command line
            if prepared.returncode:
                return prepared.returncode
            _tell(console, services, environ)
            return _work(environ)
    except LocalServicesError as error:
        console.print(Text(str(error), style="red"))
        return SERVICE_AWAY
    except KeyboardInterrupt:
        return 0


def _environment(services: Services) -> dict[str, str]:
    """The user's own settings where there are any, and the services."""
    return {
        "HEROES_LOG_FORMAT": "console",
        HTTP_PORT_VARIABLE: str(_http_port()),
        **os.environ,
        RABBITMQ_VARIABLE: services.rabbitmq_url,
        DATABASE_VARIABLE: services.database_url,
        MANAGEMENT_VARIABLE: services.management_url,
    }


def _http_port() -> int:
    """The worker's usual port if nobody has it."""
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the worker's server does
        try:
            attempt.bind(("127.0.0.1", USUAL_HTTP_PORT))
        except OSError:
            return free_ports(1)[0]
    return USUAL_HTTP_PORT


def _tell(console: Console, services: Services, environ: Mapping[str, str]) -> None:
    """Where everything is, and what to type."""
    places = (
        ("RabbitMQ", without_password(services.rabbitmq_url)),
        ("its management page", without_password(services.management_url)),
        ("PostgreSQL", without_password(services.database_url)),
        ("the worker's health", f"http://127.0.0.1:{environ[HTTP_PORT_VARIABLE]}/readyz"),
    )
    console.print()
    for name, url in places:
        console.print(Text.assemble((f"{name:<20}", "bold"), url))
    console.print("\nIn a second terminal, in this folder:\n", style="bold")
    variables = [name for name in _TOLD if environ.get(name) and os.environ.get(name) != environ[name]]
    if variables:
        pairs = " ".join(f"{name}={shlex.quote(environ[name])}" for name in variables)
        console.print(Text(f"  export {pairs}", style="cyan"))
    for example, why in _EXAMPLES:
        console.print(Text.assemble((f"  .venv/bin/{example}", "cyan"), (f"   # {why}" if why else "", "dim")))
    gone = "" if services.way == "env" else " RabbitMQ and PostgreSQL go with it, and with them their data."
    console.print(f"\nCtrl-C ends the worker.{gone}\n", style="dim")


def _work(environ: Mapping[str, str]) -> int:
    """The worker leaves when our end of a pipe closes, however we end; signals to the whole group reach us alone."""
    theirs, ours = os.pipe()
    command = heroes("worker", LEAVE_WITH, str(theirs))
    worker = subprocess.Popen(command, env=dict(environ), pass_fds=(theirs,), start_new_session=True)  # noqa: S603 - our own command line
    is_asked = False

    def ask(_number: int, _frame: FrameType | None) -> None:
        nonlocal is_asked
        if is_asked:
            worker.kill()
        else:
            is_asked = True
            os.close(ours)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    code = worker.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
