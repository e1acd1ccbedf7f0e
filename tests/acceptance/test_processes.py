"""`heroes worker --processes N`: several workers under one command, as an operator meets them and as they may die."""

import json
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from contracts.channels import command_queues
from contracts.envelope import Command
from tests.harness.attending import Attending
from tests.harness.commands import create
from tests.harness.ledger import announced, everything_heard, heard_at_least, leftovers, send_all
from tests.harness.program import Program, heroes
from tests.harness.stage import Stage, eventually
from tests.harness.users import management_of
from tests.harness.wire import Wire
from worker.errors import ExitCode
from worker.local import Services
from worker.local.probes import free_ports

NAME = "pair"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def management(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    async with management_of(services) as client:
        yield client


def children(program: Program) -> list[int]:
    pid = program.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


async def none_left(pids: Sequence[int]) -> None:
    async def gone() -> bool:
        return not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]  # noqa: ASYNC240, PTH110 - no real file

    await eventually(gone, "no process is left", within_seconds=15)


@asynccontextmanager
async def pair(stage: Stage, **overrides: str) -> AsyncIterator[Program]:
    """Two processes that take commands; whatever becomes of them, none is left."""
    pids = list[int]()
    environment = stage.environment(HEROES_WORKER_ID=NAME, HEROES_SHUTDOWN_TIMEOUT_SECONDS="10", **overrides)
    async with heroes(environment, "worker", "--processes", "2") as program:
        try:
            for number in range(2):
                await program.said(f"worker {NAME}#{number} takes commands")
            pids += children(program)
            assert len(pids) == 2
            yield program
        finally:
            if program.process.returncode is None:
                pids += children(program)
                program.process.kill()
            await none_left(pids)


async def shared_out(stage: Stage, management: httpx.AsyncClient) -> None:
    """Each consumes every queue, and both are active: by priority, or each in its own half where there is none."""
    attending = Attending(stage, management)
    knows_priorities = await attending.knows_priorities()

    async def they_are() -> bool:
        active = {name: len(queues) for name, queues in (await attending.active()).items()}
        is_shared = len(active) == 2 if knows_priorities else active == {f"{NAME}#0": 9, f"{NAME}#1": 8}
        return len(await attending.tags()) == 2 * len(command_queues()) and is_shared

    await eventually(they_are, "the queues are shared out")


async def test_two_processes_share_the_queues_and_one_that_dies_comes_back(
    stage: Stage, wire: Wire, management: httpx.AsyncClient
) -> None:
    commands: list[Command] = [create(name=f"Shared {number}") for number in range(300)]
    ports = (first := free_ports(1)[0], first + 1)
    async with pair(stage, HEROES_HTTP_PORT=str(first)) as program:
        await shared_out(stage, management)
        before = children(program)
        await send_all(wire, commands[:150])
        await heard_at_least(wire, 30)
        os.kill(before[0], signal.SIGKILL)
        await send_all(wire, commands[150:])
        line = json.loads(await program.said("starting it again in 1 s"))
        assert "ended (exit code -9)" in line["event"]
        await announced(wire, commands)

        async def is_back() -> bool:
            return len(children(program)) == 2 and program.output.count("takes commands from") == 3

        await eventually(is_back, "it takes commands again")
        assert before[1] in children(program)
        async with httpx.AsyncClient(trust_env=False) as client:
            for port in ports:
                assert (await client.get(f"http://127.0.0.1:{port}/livez")).status_code == httpx.codes.OK
        program.tell(signal.SIGTERM)
        assert await program.ended(within_seconds=15) == ExitCode.DONE, program.output
    assert program.output.count("left: everything in hand is finished") == 2
    assert await leftovers(stage) == []
    ledger = await everything_heard(wire)
    ledger.assert_one_event_each(commands)
    assert len(await stage.rows("SELECT FROM hero WHERE name LIKE 'Shared %'")) == 300


@pytest.mark.fault
async def test_processes_leave_when_their_parent_is_killed(stage: Stage) -> None:
    async with pair(stage) as program:
        pids = children(program)
        program.tell(signal.SIGKILL)
        await none_left(pids)
        await program.ended()
        assert program.output.count("left: everything in hand is finished") == 2


@pytest.mark.fault
async def test_the_command_line_of_a_process_tells_nothing_but_options(stage: Stage) -> None:
    async with pair(stage) as program:
        for pid in children(program):
            told = command_line(pid)
            assert "worker --processes 2 --processes 1 --leave-with" in told
            assert "://" not in told
        # A signal to the whole group, as systemd sends it, is no second one to anybody.
        program.tell(signal.SIGTERM)
        for pid in children(program):
            os.kill(pid, signal.SIGTERM)
        assert await program.ended(within_seconds=15) == ExitCode.DONE
    assert program.output.count("left: everything in hand is finished") == 2


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        ("HEROES_RABBITMQ_URL", ExitCode.UNPREPARED),
        pytest.param("HEROES_DATABASE_URL", ExitCode.USAGE, marks=pytest.mark.fault),
    ],
)
async def test_a_process_that_refuses_to_run_ends_all_with_its_code(
    stage: Stage, services: Services, broken: str, code: ExitCode
) -> None:
    with services.virtual_host("bare") as bare:
        wrong = {"HEROES_RABBITMQ_URL": bare, "HEROES_DATABASE_URL": f"{stage.database_url}_nowhere"}[broken]
        async with heroes({**stage.environment(), broken: wrong}, "worker", "--processes", "2") as program:
            assert await program.ended(within_seconds=30) == code, program.output
    assert "refuses to run (exit code" in program.output
    assert "starting it again" not in program.output


async def test_a_wrong_setting_ends_it_before_any_process_is_started(stage: Stage) -> None:
    wrong = {"HEROES_CONCURRENCY": "many"}, {"HEROES_HTTP_PORT": "65535"}
    for variables in wrong:
        async with heroes(stage.environment(**variables), "worker", "--processes", "2") as program:
            assert await program.ended() == ExitCode.USAGE
        assert next(iter(variables)) in program.output
        assert "refuses to run" not in program.output
