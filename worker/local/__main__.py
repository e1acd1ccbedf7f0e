"""`python -m worker.local`: services for a second terminal, or for one command.

Invariant: however it ends, nothing of what it started runs on; only the export line shows passwords.
"""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from worker.local.errors import LocalServicesError
from worker.local.services import Services
from worker.local.ways import (
    DATABASE_VARIABLE,
    MANAGEMENT_VARIABLE,
    RABBITMQ_VARIABLE,
    local_services,
    say_on_stderr,
)

USAGE = "usage: python -m worker.local [-- COMMAND [ARGUMENT ...]]"
WRONG_USAGE, SERVICE_AWAY, COMMAND_NOT_FOUND = 2, 3, 127


def main(arguments: Sequence[str]) -> int:
    """The exit code: the command's own, or 0 after a Ctrl-C or SIGTERM."""
    if arguments and (arguments[0] != "--" or len(arguments) == 1):
        say_on_stderr(USAGE)
        return WRONG_USAGE
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    try:
        with local_services() as services:
            say_on_stderr(services.describe())
            return _run(services, arguments[1:]) if arguments else _hold(services)
    except LocalServicesError as error:
        say_on_stderr(str(error))
        return SERVICE_AWAY
    except KeyboardInterrupt:
        return 0


def variables(services: Services) -> dict[str, str]:
    """What a worker, a client or the tests read to use these services."""
    return {
        RABBITMQ_VARIABLE: services.rabbitmq_url,
        DATABASE_VARIABLE: services.database_url,
        MANAGEMENT_VARIABLE: services.management_url,
    }


def _hold(services: Services) -> int:
    pairs = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables(services).items())
    sys.stdout.write(f"export {pairs}\n")
    sys.stdout.flush()
    if services.way != "env":
        say_on_stderr("They are empty: `heroes setup` prepares them, then `heroes worker` works.")
    say_on_stderr("Ctrl-C ends them.")
    while True:
        signal.pause()


def _run(services: Services, command: Sequence[str]) -> int:
    try:
        child = subprocess.Popen(command, env={**os.environ, **variables(services)})  # noqa: S603 - the user's own
    except OSError as error:
        say_on_stderr(f"{command[0]} can't be run: {error.strerror}")
        return COMMAND_NOT_FOUND

    def ignore(_number: int, _frame: FrameType | None) -> None:
        """A Ctrl-C in the terminal reaches the command by itself; the services outlive it."""

    def hand_on(number: int, _frame: FrameType | None) -> None:
        child.send_signal(number)

    signal.signal(signal.SIGINT, ignore)
    signal.signal(signal.SIGTERM, hand_on)
    code = child.wait()
    return code if code >= 0 else 128 - code


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a second one must not interrupt the clean-up
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
