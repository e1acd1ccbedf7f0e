"""The program as an operator meets it: it starts, refuses with one clear sentence, survives being killed, keeps mum."""

import asyncio
import json
import signal
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx
import pytest

from contracts.envelope import Command
from tests.harness.commands import create
from tests.harness.ledger import announced, everything_heard, heard_at_least, leftovers, send_all
from tests.harness.program import heroes, working
from tests.harness.stage import Stage
from tests.harness.wire import Wire
from worker.errors import ExitCode
from worker.local import Services
from worker.local.probes import free_ports

WRONG_PASSWORD = "not-the-right-one"


async def test_a_worker_starts_says_that_it_is_ready_and_handles_a_command(stage: Stage, wire: Wire) -> None:
    async with heroes(stage.environment(), "worker") as program:
        url = await program.ready()
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(url)).json()["status"] == "ready"
        event = await wire.outcome(create(name="First"))
        assert event["type"] == "hero.created"
        program.tell(signal.SIGTERM)
        assert await program.ended() == ExitCode.DONE, program.output
    for line in program.lines:
        document = json.loads(line)
        assert {"event", "level", "logger", "timestamp"} <= document.keys()
        assert document["level"] in {"info", "warning"}, line


async def _refusal(environment: Mapping[str, str], sentences: int = 1) -> tuple[int, str]:
    """How a worker with this environment ends, and what it says outside its log: so many lines and no traceback."""
    async with heroes(environment, "worker") as program:
        code = await program.ended()
    assert "Traceback" not in program.output
    assert WRONG_PASSWORD not in program.output
    said = [line for line in program.lines if not line.startswith("{")]
    assert len(said) == sentences, program.output
    return code, "\n".join(said)


async def test_it_refuses_to_start_without_topology_and_says_what_mends_it(stage: Stage, services: Services) -> None:
    with services.virtual_host("bare") as bare:
        code, said = await _refusal(stage.environment(HEROES_RABBITMQ_URL=bare))
    assert code == ExitCode.UNPREPARED
    assert "heroes.commands" in said
    assert "heroes setup" in said


async def test_it_refuses_to_start_without_tables_and_says_what_mends_it(stage: Stage, services: Services) -> None:
    with services.database("bare") as bare:
        code, said = await _refusal(stage.environment(HEROES_DATABASE_URL=bare))
    assert code == ExitCode.UNPREPARED
    assert "tables" in said
    assert "heroes setup" in said


# Both ends refuse by the same code; one of them is enough for every run.
_ALSO_IN_FAULTS = pytest.param("HEROES_DATABASE_URL", marks=pytest.mark.fault)


def _elsewhere(url: str) -> str:
    """The same on a port where nobody listens."""
    address = urlsplit(url)
    (port,) = free_ports(1)
    user = address.netloc.rpartition("@")[0]
    return address._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()


def _with_password(url: str, password: str) -> str:
    address = urlsplit(url)
    return address._replace(netloc=f"{address.username}:{password}@{address.netloc.rpartition('@')[2]}").geturl()


@pytest.mark.parametrize("variable", ["HEROES_RABBITMQ_URL", _ALSO_IN_FAULTS])
async def test_it_waits_for_a_service_only_so_long_and_then_names_it(stage: Stage, variable: str) -> None:
    environment = stage.environment(HEROES_STARTUP_TIMEOUT_SECONDS="1")
    code, said = await _refusal({**environment, variable: _elsewhere(environment[variable])})
    assert code == ExitCode.UNREACHABLE
    assert variable in said
    assert "did not answer within 1 s" in said


@pytest.mark.parametrize("variable", [_ALSO_IN_FAULTS, "HEROES_RABBITMQ_URL"])
async def test_a_wrong_password_is_named_as_such_and_not_shown(stage: Stage, variable: str) -> None:
    environment = stage.environment()
    code, said = await _refusal({**environment, variable: _with_password(environment[variable], WRONG_PASSWORD)})
    assert code == ExitCode.USAGE
    assert variable in said
    assert "password" in said


@pytest.mark.parametrize(
    "wrong",
    [
        {"HEROES_DATABASE_URL": None, "HEROES_CONCURRENCY": "many", "HEROES_LOG_FORMAT": "xml"},
        {
            "HEROES_DATABASE_URL": f"postgresql://ann:{WRONG_PASSWORD}@127.0.0.1/heroes",
            "HEROES_RABBITMQ_URL": f"http://ann:{WRONG_PASSWORD}@127.0.0.1/heroes",
        },
        {"HEROES_RABBITMQ_URL": f"amqp://ann:{WRONG_PASSWORD}@127.0.0.1:port/heroes"},
    ],
    ids=["missing or out of range", "another scheme", "no URL"],
)
async def test_every_missing_or_wrong_setting_is_named_with_what_it_takes(
    stage: Stage, wrong: Mapping[str, str | None]
) -> None:
    environment = {**stage.environment(), **wrong}
    code, said = await _refusal({name: value for name, value in environment.items() if value}, sentences=len(wrong))
    assert code == ExitCode.USAGE
    assert {line.partition(": ")[0] for line in said.splitlines()} == set(wrong)


async def test_a_killed_worker_loses_nothing_and_the_next_one_repeats_no_effect(stage: Stage, wire: Wire) -> None:
    commands: list[Command] = [create(name=f"Survivor {number}") for number in range(300)]
    async with heroes(stage.environment(), "worker") as program:
        await program.said("takes commands")
        sending = asyncio.create_task(send_all(wire, commands))
        await heard_at_least(wire, 30)
        program.tell(signal.SIGKILL)
        assert await program.ended() == -signal.SIGKILL
        await sending
    rows = await stage.rows("SELECT name FROM hero WHERE name LIKE 'Survivor %'")
    assert len(rows) < len(commands), "it was killed too late to prove anything"

    async with working(stage):
        await announced(wire, commands)
    rows = await stage.rows("SELECT name FROM hero WHERE name LIKE 'Survivor %'")
    assert sorted(row["name"] for row in rows) == sorted(f"Survivor {number}" for number in range(300))
    ledger = await everything_heard(wire)
    ledger.assert_one_event_each(commands)
    ledger.assert_one_content_each()
    assert await leftovers(stage) == []
    assert wire.letters == []
