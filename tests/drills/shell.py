"""What an operator types: each command is really run, and printed with its answer."""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx

from tests.drills.screen import Screen, busy_queues
from tests.faults.services import Broker
from tests.harness.program import heroes
from tests.harness.stage import Stage
from worker.local.postgres_programs import postgres_programs

WITHIN_SECONDS = 120
PAGE_SECONDS = 6

Trim = Callable[[Sequence[str]], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Shell:
    """With the settings of an operator's terminal."""

    screen: Screen
    broker: Broker
    stage: Stage
    management_url: str
    site: str

    async def first_looks(self) -> None:
        """The three commands that the runbook begins with."""
        await self.curl("/readyz")
        await self.heroes("queues", trim=busy_queues)
        await self.heroes("dead-letters", "list")

    async def heroes(self, *arguments: str, trim: Trim = list) -> int:
        """`heroes ARGUMENTS`; its exit code is said where it is not 0, and a line that comes again is left out."""
        environment = self.stage.environment(HEROES_RABBITMQ_MANAGEMENT_URL=self.management_url)
        async with heroes(environment, *arguments) as program:
            code = await program.ended(within_seconds=WITHIN_SECONDS)
        ended = [f"[exit code {code}]"] if code else []
        said = trim([*dict.fromkeys(program.lines)])
        self.screen.typed(f"heroes {' '.join(map(_quoted, arguments))}", [*said, *ended])
        return code

    async def curl(self, path: str) -> None:
        """The page's body and its status."""
        async with httpx.AsyncClient(trust_env=False, timeout=PAGE_SECONDS) as client:
            try:
                answer = await client.get(f"{self.site}{path}")
                said = [*answer.text.splitlines(), f"[status {answer.status_code}]"]
            except httpx.TransportError as error:
                said = [f"[{type(error).__name__}]"]
        self.screen.typed(f"curl -s localhost:8080{path}", said)

    async def figures(self, *names: str) -> None:
        """Of /metrics, what begins with one of these and is not zero."""
        async with httpx.AsyncClient(trust_env=False, timeout=PAGE_SECONDS) as client:
            lines = (await client.get(f"{self.site}/metrics")).text.splitlines()
        said = [line for line in lines if line.startswith(names) and not line.endswith(" 0.0")]
        self.screen.typed(f"curl -s localhost:8080/metrics | grep -E '^({'|'.join(names)})'", said)

    async def rabbitmqctl(self, *arguments: str) -> None:
        """On the broker's node."""
        said = await asyncio.to_thread(self.broker.control, *arguments)
        self.screen.typed(f"rabbitmqctl {' '.join(map(_quoted, arguments))}", said.splitlines())

    async def alarms(self) -> None:
        """What the broker's node says of its alarms."""
        status = await asyncio.to_thread(self.broker.control, "status")
        said = re.sub(r"\x1b\[\d*m", "", status).splitlines()  # its headings are bold
        start = said.index("Alarms")
        self.screen.typed("rabbitmqctl status | grep -A 3 ^Alarms", [line for line in said[start : start + 4] if line])

    async def psql(self, statement: str) -> None:
        """As the owner of the database."""
        url = self.stage.database_url.replace("+asyncpg", "")
        process = await asyncio.create_subprocess_exec(
            str(postgres_programs() / "psql"), url, "-X", "-c", statement, stdout=-1, stderr=-2
        )
        said, _ = await process.communicate()
        self.screen.typed(f'psql heroes -c "{statement}"', [line for line in said.decode().splitlines() if line])


def _quoted(argument: str) -> str:
    return f'"{argument}"' if " " in argument else argument
