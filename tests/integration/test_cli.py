"""The `heroes` program sets up, and says in a sentence and an exit code what is missing, away or wrong."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest

from tests.harness.press import DONE, UNPREPARED, UNREACHABLE, USAGE, Press, Said
from tests.harness.program import heroes
from tests.harness.stage import Stage
from worker.local import Services
from worker.operations import prepare

NOWHERE = {
    "HEROES_RABBITMQ_URL": "amqp://ann:Zx9Qk7-password@127.0.0.1:1/v",
    "HEROES_DATABASE_URL": "postgresql+asyncpg://ann:Zx9Qk7-password@127.0.0.1:1/d",
    "HEROES_HTTP_PORT": "0",  # somebody's `make run` may have the usual one
}


async def run_anew(environment: Mapping[str, str], *arguments: str) -> Said:
    """The installed program itself."""
    async with heroes(environment, *arguments) as program:
        code = await program.ended()
        return Said(code, program.output)


@pytest.fixture
def fresh(services: Services) -> Iterator[Stage]:
    """A corner with nothing in it."""
    with services.virtual_host("cli") as rabbitmq_url, services.database("cli") as database_url:
        yield Stage(rabbitmq_url, database_url)


async def test_check_says_what_is_missing_and_setup_mends_it(press: Press, fresh: Stage) -> None:
    environment = fresh.environment()
    missing = (await press.run(environment, "check")).ends(UNPREPARED, "no tables of ours yet", "→ run heroes setup")
    missing.ends(UNPREPARED, "✗ topology: 5 exchanges (", "✗ topology: 20 queues (")
    (await press.run(environment, "setup")).ends(
        DONE, "the tables are those of this version", "queues and bindings are"
    )
    (await press.run(environment, "setup")).ends(DONE)
    right = (await press.run(environment, "check")).ends(DONE, "RabbitMQ ")
    assert "✗" not in right.output


@pytest.mark.fault
async def test_two_setups_at_once_both_succeed_and_so_does_the_installed_program(fresh: Stage) -> None:
    for said in await asyncio.gather(*(run_anew(fresh.environment(), "setup") for _ in range(2))):
        said.ends(DONE)
    (await run_anew(fresh.environment(), "check")).ends(DONE)


async def test_setup_does_only_the_part_that_it_is_asked_for(press: Press, fresh: Stage) -> None:
    database_alone = fresh.environment() | {"HEROES_RABBITMQ_URL": NOWHERE["HEROES_RABBITMQ_URL"]}
    broker_alone = fresh.environment() | {"HEROES_DATABASE_URL": NOWHERE["HEROES_DATABASE_URL"]}
    (await press.run(database_alone, "setup", "--database")).ends(DONE)
    (await press.run(broker_alone, "setup", "--broker")).ends(DONE)
    (await press.run(fresh.environment(), "check")).ends(DONE)


@pytest.mark.parametrize("command", [["check", "--wait", "0.5"], ["setup"], ["worker"]])
async def test_everything_away_is_told_in_a_sentence(press: Press, command: list[str]) -> None:
    said = await press.run(NOWHERE | {"HEROES_STARTUP_TIMEOUT_SECONDS": "0.5"}, *command)
    said.ends(UNREACHABLE, "did not answer within 0.5 s", "is it running", "***")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("HEROES_RABBITMQ_URL", "@", "x@"),
        ("HEROES_RABBITMQ_URL", "/tests_", "/no_such_"),
        ("HEROES_DATABASE_URL", "@", "x@"),
        ("HEROES_DATABASE_URL", "/tests_", "/no_such_"),
    ],
)
async def test_a_wrong_password_or_name_is_a_wrong_setting(
    press: Press, stage: Stage, name: str, old: str, new: str
) -> None:
    right = stage.environment()
    wrong = right | {name: right[name].replace(old, new, 1)}
    (await press.run(wrong, "check")).ends(USAGE, f"{name}: ")


async def test_wrong_settings_are_told_one_in_a_line(press: Press, stage: Stage) -> None:
    environment = stage.environment(HEROES_CONCURRENCY="many", HEROES_LOG_LEVEL="LOUD")
    said = (await press.run(environment, "check")).ends(USAGE, "HEROES_CONCURRENCY: ", "HEROES_LOG_LEVEL: ")
    assert len(said.output.strip().splitlines()) == 2


async def test_a_worker_without_its_tables_or_queues_does_not_start(press: Press, fresh: Stage) -> None:
    (await press.run(fresh.environment(), "worker")).ends(UNPREPARED, "run heroes setup")
    await prepare.prepare_database(fresh.settings())
    (await press.run(fresh.environment(), "worker")).ends(UNPREPARED, "queue heroes.commands.00", "run heroes setup")


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["send", "--help"], ["send", "batch", "--help"], ["setup", "--help"]]
)
async def test_help_needs_no_settings(press: Press, arguments: list[str]) -> None:
    said = await press.run({}, *arguments)
    assert said.code in ({DONE} if arguments else {DONE, USAGE})
    assert "Usage" in said.output


@pytest.mark.parametrize("arguments", [["no-such-command"], ["check", "--no-such-option"], ["send", "create"]])
async def test_a_wrong_command_line_is_wrong_usage(press: Press, stage: Stage, arguments: list[str]) -> None:
    (await press.run(stage.environment(), *arguments)).ends(USAGE)


async def test_get_says_what_is_not_set_up_and_when_nobody_answers(press: Press, fresh: Stage) -> None:
    (await press.run(fresh.environment(), "get", "1")).ends(UNPREPARED, "no exchange heroes.queries: run heroes setup")
    (await press.run(fresh.environment(), "setup", "--broker")).ends(DONE)
    said = await press.run(fresh.environment(), "get", "1", "--timeout-seconds", "0.5")
    said.ends(UNREACHABLE, "no worker answered in time: is one at work?")


async def test_events_without_a_broker_says_so_and_is_no_empty_history(press: Press, services: Services) -> None:
    nowhere = services.rabbitmq_url.rpartition("/")[0] + "/nowhere"
    said = await press.run({"HEROES_RABBITMQ_URL": nowhere}, "events", "--from-start", "--no-follow")
    said.ends(USAGE, "RabbitMQ refuses")
    said = await press.run({"HEROES_RABBITMQ_URL": "amqp://a:b@127.0.0.1:1/v"}, "events", "--no-follow")
    said.ends(UNREACHABLE, "can't be reached")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["create", "--name", "", "--secret-name", "s"], "name"),
        (["create", "--name", "n", "--secret-name", "s", "--age", "-1"], "age"),
        (["create", "--name", "n", "--secret-name", "s", "--age", "old"], "age"),
        (["create", "--name", "n", "--secret-name", "s", "--id", "7"], "id: should be a UUID"),
        (["update", "7"], "changes: should hold at least one of name, secret_name, age"),
        (["update", "0", "--name", "n"], "hero_id"),
        (["delete", "9223372036854775808"], "hero_id"),
        (["update", "7", "--age", "1", "--clear-age"], "age"),
    ],
)
async def test_send_refuses_what_is_no_command(press: Press, stage: Stage, arguments: list[str], says: str) -> None:
    """Before anything is sent: nobody is at work here, and nobody waits."""
    (await press.run(stage.environment(), "send", *arguments)).ends(USAGE, says)


async def test_send_says_when_nobody_answers(press: Press, fresh: Stage) -> None:
    await prepare.prepare_broker(fresh.settings())
    said = await press.run(fresh.environment(), "send", "delete", "1", "--timeout-seconds", "0.5")
    said.ends(UNREACHABLE, "no outcome of command", "Sending the same command again is safe")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        (NOWHERE["HEROES_RABBITMQ_URL"], UNREACHABLE),
        ("http://broker/", USAGE),
        ("nonsense", USAGE),
        ("amqp://ann:Zx9Qk7-password@127.0.0.1:port/", USAGE),
    ],
)
async def test_send_without_a_broker_says_which_setting_to_look_at(press: Press, url: str, code: int) -> None:
    said = (await press.run({"HEROES_RABBITMQ_URL": url}, "send", "delete", "1")).ends(code, "HEROES_RABBITMQ_URL")
    assert "Zx9Qk7" not in said.output


async def test_send_without_any_broker_named_says_so(press: Press) -> None:
    (await press.run({}, "send", "delete", "1")).ends(USAGE, "HEROES_RABBITMQ_URL")


async def test_send_to_a_broker_that_is_not_set_up_says_so(press: Press, fresh: Stage) -> None:
    (await press.run(fresh.environment(), "send", "delete", "1")).ends(
        UNPREPARED, "was not confirmed", "run heroes setup"
    )


@pytest.mark.parametrize(("old", "new"), [("@", "x@"), ("/tests_", "/no_such_")])
async def test_send_with_a_wrong_password_or_virtual_host_is_a_wrong_setting(
    press: Press, stage: Stage, old: str, new: str
) -> None:
    url = stage.rabbitmq_url.replace(old, new, 1)
    (await press.run({"HEROES_RABBITMQ_URL": url}, "send", "delete", "1")).ends(USAGE, "HEROES_RABBITMQ_URL")


@pytest.mark.parametrize("library", ["typer", "sqlalchemy"])
def test_a_program_that_came_without_the_worker_says_what_to_install(library: str) -> None:
    """The client alone brings the `heroes` program, too."""
    script = f"import sys; sys.modules[{library!r}] = None; from worker.__main__ import main; main()"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)  # noqa: S603 - our own line
    assert (ended.returncode, ended.stdout) == (USAGE, "")
    assert ended.stderr == f"{library} is missing, which comes with the worker: pip install '.[worker]'\n"
