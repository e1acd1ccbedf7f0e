"""What an operator of `heroes dead-letters` gets wrong, and what is away, is told in a sentence."""

import pytest

from tests.harness.commands import create
from tests.harness.failing import DROP, LIST, REPLAY
from tests.harness.letters import Pigeonhole
from tests.harness.press import DONE, UNPREPARED, UNREACHABLE, USAGE, Press
from tests.harness.stage import Stage
from tests.harness.users import management_of, user
from worker.local import Services
from worker.operations import prepare


async def test_a_database_that_refuses_is_a_wrong_setting(press: Press, stage: Stage) -> None:
    url = stage.database_url.rpartition("/")[0] + "/nowhere"
    ended = await press.run({**stage.environment(), "HEROES_DATABASE_URL": url}, "queues")
    ended.ends(USAGE, "unpublished rows were not counted: HEROES_DATABASE_URL: PostgreSQL refuses")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((*REPLAY,), "say which letters"),
        ((*REPLAY, "--all", "--type", "x"), "say which letters"),
        ((*DROP, "--all"), "--why"),
        ((*DROP, "--all", "--why", " "), "say why"),
        ((*DROP, "--all", "--why", "x", "--log", "/no/such/folder/log"), "can't be written"),
    ],
)
async def test_a_command_line_that_does_not_say_enough_is_wrong_usage(
    press: Press, stage: Stage, arguments: tuple[str, ...], says: str
) -> None:
    (await press.run(stage.environment(), *arguments)).ends(USAGE, says)


async def test_only_a_replay_needs_the_database(press: Press, stage: Stage, hole: Pigeonhole) -> None:
    without = {"HEROES_RABBITMQ_URL": stage.rabbitmq_url}
    (await press.run(without, *REPLAY, "--all")).ends(USAGE, "HEROES_DATABASE_URL is not set")
    away = {**without, "HEROES_DATABASE_URL": "postgresql+asyncpg://a:b@127.0.0.1:1/d"}
    (await press.run(away, *REPLAY, "--all")).ends(UNREACHABLE, "PostgreSQL")
    await hole.put_command(create())
    (await press.run(without, *LIST)).ends(DONE, "1 dead letter")


async def test_what_is_missing_or_forbidden_is_told_in_a_sentence(press: Press, services: Services) -> None:
    with services.virtual_host("bare") as bare:
        (await press.run({"HEROES_RABBITMQ_URL": bare}, *LIST)).ends(UNPREPARED, "heroes.dead_letters is missing")
        settings = Stage(bare, "postgresql+asyncpg://a:b@127.0.0.1:1/d").settings()
        await prepare.prepare_broker(settings)
        async with (
            management_of(services) as management,
            user(management, bare, configure="^$", write="^$", read="^$") as blind,
        ):
            async with Pigeonhole.emptied(Stage(bare, "")) as hole:
                await hole.put_command(create())
            (await press.run({"HEROES_RABBITMQ_URL": blind}, *LIST)).ends(UNPREPARED, "this user may not read it")
    impatient = "import worker.operations.dead_letters.reading as r; r._CONNECT_WITHIN_SECONDS = 0.1"
    away = await press.run({"HEROES_RABBITMQ_URL": "amqp://a:b@127.0.0.1:1/v"}, *LIST, before=impatient)
    away.ends(UNREACHABLE, "did not answer within")
