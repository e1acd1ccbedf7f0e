"""A worker as its machine sees it: where it listens, and what everybody may read of its process."""

import psutil

from tests.harness.program import working
from tests.harness.stage import Stage
from tests.harness.users import PASSWORD, management_of, user
from worker.local import Services


async def test_a_worker_listens_on_loopback_alone_and_shows_no_password_in_its_process(
    stage: Stage, services: Services
) -> None:
    async with (
        management_of(services) as management,
        user(management, stage.rabbitmq_url, configure=".*") as url,
        working(Stage(url, stage.database_url)) as program,
    ):
        process = psutil.Process(program.process.pid)
        listening = [one.laddr.ip for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
        assert listening
        assert set(listening) == {"127.0.0.1"}
        shown = " ".join([process.name(), process.exe(), process.cwd(), *process.cmdline()])
        assert PASSWORD not in shown
        assert "://" not in shown, "a URL in the arguments would show its password to everybody on the machine"
