"""The `heroes` program in a process of its own, as an operator runs it: its output, its exit code, its signals."""

import asyncio
import json
import os
import re
import signal
import sys
import sysconfig
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.harness.stage import DEADLINE_SECONDS, Stage, eventually

_HEROES = Path(sysconfig.get_path("scripts")) / "heroes"


@dataclass(slots=True)
class Program:
    """A running or ended program, and every line that it wrote to standard output or error."""

    process: Process
    lines: list[str] = field(default_factory=list)
    _more: asyncio.Condition = field(default_factory=asyncio.Condition)
    _closed: bool = False

    @property
    def output(self) -> str:
        """All that it has written so far."""
        return "\n".join(self.lines)

    async def said(self, text: str) -> str:
        """The first line with this text."""
        async with self._more:
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    await self._more.wait_for(lambda: self._closed or text in self.output)
            except TimeoutError:
                raise AssertionError(f"never said {text!r}:\n{self.output}") from None
        line = next((line for line in self.lines if text in line), None)
        assert line is not None, f"ended with {self.process.returncode} and never said {text!r}:\n{self.output}"
        return line

    async def ended(self, *, within_seconds: float = DEADLINE_SECONDS) -> int:
        """Its exit code; below zero a signal."""
        try:
            async with asyncio.timeout(within_seconds):
                code = await self.process.wait()
        except TimeoutError:
            raise AssertionError(f"still runs after {within_seconds:g} s:\n{self.output}") from None
        async with self._more:
            await self._more.wait_for(lambda: self._closed)
        return code

    async def ready(self) -> str:
        """It says over HTTP that it takes commands; where it says so."""
        line = await self.said("/readyz")
        match = re.search(r"http://[^\s\"]+/readyz", line)
        assert match, f"no address in {line}"
        url = match.group()
        async with httpx.AsyncClient(trust_env=False) as client:
            await eventually(lambda: _is_ready(client, url), f"ready at {url}")
        return url

    def tell(self, wanted: signal.Signals) -> None:
        """Sends it a signal."""
        self.process.send_signal(wanted)

    async def listen(self) -> None:
        """Keeps every line until the end."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            async with self._more:
                self.lines.append(line.decode().rstrip("\n"))
                self._more.notify_all()
        async with self._more:
            self._closed = True
            self._more.notify_all()


@asynccontextmanager
async def heroes(environment: Mapping[str, str], *arguments: str) -> AsyncIterator[Program]:
    """`heroes` with these arguments and no other HEROES_ variables; killed at the end, and never told a password."""
    async with started(environment, str(_HEROES), *arguments) as program:
        yield program


@asynccontextmanager
async def started(environment: Mapping[str, str], *arguments: str) -> AsyncIterator[Program]:
    """Python with these arguments; otherwise the same."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HEROES_")}
    complete = {**inherited, **environment}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=complete, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
    )
    program = Program(process)
    listening = asyncio.create_task(program.listen())
    try:
        yield program
    finally:
        if process.returncode is None:
            process.kill()
        await asyncio.gather(process.wait(), listening)
    assert_no_password(program.output, environment)


@asynccontextmanager
async def working(stage: Stage, **overrides: str) -> AsyncIterator[Program]:
    """A worker in a process of its own that takes commands and in the end leaves as it should."""
    async with heroes(stage.environment(**overrides), "worker") as program:
        await program.said("takes commands")
        yield program
        program.tell(signal.SIGTERM)
        assert await program.ended(within_seconds=30) == 0, program.output


def assert_no_password(output: str, environment: Mapping[str, str]) -> None:
    """Neither password of the URLs stands in the output, as such or as part of a URL."""
    for name in ("HEROES_RABBITMQ_URL", "HEROES_DATABASE_URL"):
        password = urlsplit(environment.get(name, "")).password
        if password:
            # A short one, like "guest", may stand there as an ordinary word.
            telltale = password if len(password) >= 12 else f":{password}@"
            assert telltale not in output, f"the password of {name} was shown"


def as_log_line(line: str) -> dict[str, Any]:
    """A line of the program's JSON log."""
    parsed: dict[str, Any] = json.loads(line)
    return parsed


async def _is_ready(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
