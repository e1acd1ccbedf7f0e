"""Everything goes by TLS where the URLs say so, and where it can't, the program says why in a sentence."""

import pytest

from contracts.client import HeroesClient
from tests.harness.program import heroes
from tests.harness.refused import AUTHORITY
from tests.harness.secured import Authority, SecuredRabbitMQ
from tests.harness.stage import Stage
from worker.app import running_worker

pytestmark = pytest.mark.fault


async def test_a_command_goes_all_its_way_in_tls(
    secured: Stage, plain: Stage, rabbitmq: SecuredRabbitMQ, authority: Authority
) -> None:
    async with (
        running_worker(secured.settings(shutdown_timeout_seconds=5)),
        HeroesClient(rabbitmq.url(f"cafile={authority.file}"), timeout_seconds=20) as client,
    ):
        created = await client.create(name="Ada", secret_name="Countess")
        assert (await client.get(created.data.hero.id)).name == "Ada"
        protocols = rabbitmq.broker.control("list_connections", "-q", "ssl").split()
        assert protocols[1:] == ["true"] * 3, "two connections of the worker, one of the client"
        ways = await plain.rows(
            "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'heroes-worker'"
        )
        assert ways
        assert all(way["ssl"] for way in ways)


@pytest.mark.parametrize(
    ("command", "code"), [(("worker",), 2), (("check",), 2), (("send", "delete", "1"), 2)], ids=str
)
async def test_the_program_ends_with_a_sentence_and_no_password(
    secured: Stage, rabbitmq: SecuredRabbitMQ, stranger: Authority, command: tuple[str, ...], code: int
) -> None:
    environment = secured.environment(HEROES_RABBITMQ_URL=rabbitmq.url(f"cafile={stranger.file}"))
    async with heroes(environment, *command) as program:
        assert await program.ended() == code, program.output
    assert AUTHORITY in program.output
    assert "Traceback" not in program.output
