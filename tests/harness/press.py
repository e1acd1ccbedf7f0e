"""Command lines one after the other, each in a process of its own, without a second of imports for each."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness.program import assert_no_password

ROOT = Path(__file__).parents[2]
_MOST_OUTPUT_BYTES = 2**24
DONE, REFUSED, USAGE, UNREACHABLE, UNPREPARED = range(5)


@dataclass(frozen=True)
class Said:
    """How a program ended and what it wrote."""

    code: int
    output: str

    def ends(self, code: int, *sentences: str) -> "Said":
        """Also: whatever happened, nobody is shown a traceback."""
        assert "Traceback" not in self.output, self.output
        assert self.code == code, self.output
        for sentence in sentences:
            assert sentence in self.output, self.output
        return self

    @property
    def document(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.output)
        return parsed


# Starting `heroes` costs more than a second of imports. This imports it once and runs every command line in a process
# of its own all the same: a fork, with the environment, the arguments, the output and the exit code of a fresh start.
PRESS = """
import gc, json, os, sys
import worker.cli
gc.collect()
gc.freeze()
for line in sys.stdin:
    environment, arguments, before = json.loads(line)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = ["heroes", *arguments]
        exec(before)
        try:
            worker.cli.main()
        except SystemExit as leaving:
            sys.stdout.flush()
            os._exit(leaving.code or 0)  # what else the interpreter would tidy up costs more than the command
        raise AssertionError("the program never leaves in another way")
    os.close(writing)
    with os.fdopen(reading) as said:
        output = said.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps([code, output]), flush=True)
"""


class Press:
    """Runs one command line after the other."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout

    @classmethod
    @asynccontextmanager
    async def ready(cls) -> AsyncIterator["Press"]:
        inherited = _environment()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PRESS),
            stdin=PIPE,
            stdout=PIPE,
            env=inherited,
            cwd=ROOT,
            limit=_MOST_OUTPUT_BYTES,
            start_new_session=True,
        )
        try:
            yield cls(process)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with a command line that never ended
            await process.wait()

    async def run(self, environment: Mapping[str, str], *arguments: str, before: str = "") -> Said:
        """What it said; `before` is Python that the process runs first, to meet an accident of its own, say."""
        given = _environment() | {"HEROES_STARTUP_TIMEOUT_SECONDS": "2"} | dict(environment)
        self._in.write(json.dumps([given, arguments, before]).encode() + b"\n")
        async with asyncio.timeout(30):
            code, output = json.loads(await self._out.readline())
        assert_no_password(output, environment)
        return Said(code, output)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("HEROES_")}
