"""Who owns local services, `python -m worker.local` too, ends with the right code and leaves nothing of them behind."""

import importlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from worker.local import Services
from worker.local.probes import database_answers, free_ports

ROOT = Path(__file__).parents[3]

HOLD = """
import signal
from worker.local import local_services
with local_services():
    print("up", flush=True)
    signal.pause()
"""


@pytest.fixture
def heard() -> Iterator[str]:
    """Somebody takes connections there, and that is all."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"amqp://ann:secret@127.0.0.1:{listening.getsockname()[1]}/v"


@pytest.mark.fault
def test_the_command_brings_a_second_pair_and_a_ctrl_c_leaves_nothing(services: Services) -> None:
    """Two pairs don't collide, and after the end no process, port mapper or folder is left."""
    with _command(env={"HEROES_LOCAL_SERVICES": "private"}) as holder:
        exported = _exported(holder)
        traces = _traces(holder.pid)
        assert exported["HEROES_RABBITMQ_URL"] != services.rabbitmq_url
        assert database_answers(exported["HEROES_DATABASE_URL"])
        assert len(traces) == 2
        holder.send_signal(signal.SIGINT)
        assert holder.wait(20) == 0
    _assert_nothing_left(traces)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_however_the_owner_ends_its_servers_end_with_it(number: signal.Signals, heard: str) -> None:
    """Even by SIGKILL, which leaves the owner no time to do it."""
    env = {"HEROES_RABBITMQ_URL": heard, "DOCKER_HOST": f"tcp://127.0.0.1:{free_ports(1)[0]}"}
    with _command("-c", HOLD, env=env) as owner:
        assert owner.stdout is not None
        while "up" not in owner.stdout.readline():
            assert owner.poll() is None
        traces = _traces(owner.pid)
        assert len(traces) == 1
        owner.send_signal(number)
        assert owner.wait(20) == (128 + number if number == signal.SIGTERM else -number)
    _assert_nothing_left(traces)


def test_the_command_runs_another_with_the_variables_and_ends_with_its_code(heard: str) -> None:
    """`python -m worker.local -- COMMAND`, here with services that are named already."""
    ask = "import os, sys; print(os.environ['HEROES_RABBITMQ_MANAGEMENT_URL']); sys.exit(7)"
    env = {"HEROES_RABBITMQ_URL": heard, "HEROES_DATABASE_URL": heard.replace("amqp", "postgresql+asyncpg")}
    with _command("-m", "worker.local", "--", sys.executable, "-c", ask, env=env) as runner:
        output, _ = runner.communicate(timeout=20)
    assert (output.strip(), runner.returncode) == ("http://ann:secret@127.0.0.1:15672", 7)


@contextmanager
def _command(*arguments: str, env: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HEROES_")}
    command = [sys.executable, *(arguments or ("-m", "worker.local"))]
    process = subprocess.Popen(command, cwd=ROOT, env=kept | env, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ours
    with process:
        try:
            yield process
        finally:
            process.kill()


def _exported(process: "subprocess.Popen[str]") -> dict[str, str]:
    assert process.stdout is not None
    export, *pairs = shlex.split(process.stdout.readline())
    assert export == "export"
    return dict(pair.split("=", 1) for pair in pairs)


def _traces(pid: int) -> list[tuple[Path, int]]:
    """Folder and port mapper's port of each server that the process owns, as its guardian was told."""
    psutil = importlib.import_module("psutil")
    lines = [child.cmdline() for child in psutil.Process(pid).children()]
    return [(Path(line[-2]), int(line[-1])) for line in lines if any(part.endswith("guardian.py") for part in line)]


def _assert_nothing_left(traces: list[tuple[Path, int]]) -> None:
    for folder, epmd_port in traces:
        _eventually(lambda folder=folder: not folder.exists() and not _mentioning(folder))  # type: ignore[misc]
        with socket.socket() as knock:
            assert not epmd_port or knock.connect_ex(("127.0.0.1", epmd_port)) != 0


def _mentioning(folder: Path) -> list[Any]:
    psutil = importlib.import_module("psutil")
    return [p for p in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(p.info["cmdline"] or ())]


def _eventually(holds: Callable[[], bool], timeout_seconds: float = 10) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
