"""Which end of a process ends all of them, and which is answered by another start."""

import os
import signal
from threading import Event

import pytest

from worker import supervisor
from worker.errors import ExitCode, SettingsError
from worker.settings import Settings
from worker.supervisor import Supervisor, leave_with_parent

SETTINGS = Settings(
    rabbitmq_url="amqp://a:b@127.0.0.1/v", database_url="postgresql+asyncpg://a:b@127.0.0.1/d", http_port=65_535
)


@pytest.mark.parametrize(
    ("code", "restarts", "refuses"),
    [
        (ExitCode.USAGE, 0, True),
        (ExitCode.UNPREPARED, 3, True),
        (ExitCode.UNREACHABLE, 0, True),
        (ExitCode.UNREACHABLE, 1, False),
        (ExitCode.DONE, 0, False),
        (1, 0, False),
        (-signal.SIGKILL, 0, False),
    ],
)
def test_a_refusal_ends_all_and_a_death_is_answered_by_another_start(code: int, restarts: int, refuses: bool) -> None:
    """A service that is away just now does not end those that wait for it."""
    assert supervisor._is_refusal(code, restarts) is refuses


async def test_there_must_be_a_port_for_each() -> None:
    with pytest.raises(SettingsError, match="HEROES_HTTP_PORT: should leave room for 2 ports"):
        Supervisor(SETTINGS, 2)


def test_the_end_of_the_pipe_asks_to_leave() -> None:
    theirs, ours = os.pipe()
    asked = Event()
    leave_with_parent(theirs, asked.set, 3600)
    assert not asked.is_set()
    os.close(ours)
    assert asked.wait(10)
