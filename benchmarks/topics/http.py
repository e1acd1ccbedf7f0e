"""The same entity behind HTTP: FastAPI and SQLModel, one request at a time and a hundred at once."""

import asyncio
from collections.abc import Awaitable, Callable
from math import nan
from time import monotonic
from typing import TYPE_CHECKING

from benchmarks.arena import Arena
from benchmarks.bench import Bench
from benchmarks.calls import Timing, timed
from benchmarks.contestants import Running, WrongError, started
from benchmarks.field import HTTP
from benchmarks.peers.model import hero_data
from benchmarks.section import Section
from worker.local.probes import free_ports

if TYPE_CHECKING:
    import aiohttp

_AT_ONCE = (1, 100)
_START_SECONDS = 60


async def measure(bench: Bench) -> Section:
    """How fast each operation is answered."""
    timings: dict[str, Timing] = {}
    missing = HTTP.missing()
    left_out = {HTTP.name: f"not installed: {', '.join(missing)} (`make bench` installs it)"} if missing else {}
    if not missing:
        async with bench.arena() as arena:
            try:
                timings = await _timings(bench, arena)
            except WrongError as error:
                left_out[HTTP.name] = str(error)
    creates = [timing.per_second for name, timing in timings.items() if name.startswith("create")]
    return Section(
        name="http",
        title="FastAPI + SQLModel over HTTP",
        says=f"One uvicorn process. It leaves out: {HTTP.leaves_out}. Its client runs beside it and needs a part of the"
        " same cores.",
        head=("request", "answers/s", "p50 ms", "p95 ms", "p99 ms"),
        rows=tuple((name, *timing.cells()) for name, timing in timings.items()),
        figures={"timings": timings, "creates_per_second": max(creates, default=nan)},
        left_out=left_out,
    )


async def _timings(bench: Bench, arena: Arena) -> dict[str, Timing]:
    import aiohttp  # only the benchmarks need it

    (port,) = free_ports(1)
    timings: dict[str, Timing] = {}
    with started(HTTP, arena.settings, "--port", str(port)) as running:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", raise_for_status=True) as session:
            try:
                await _answers(session, running)
                for at_once in _AT_ONCE:
                    await arena.clear(bench.scale.calls)
                    for name, call in _operations(session).items():
                        timings[f"{name}, {at_once} at once"] = await timed(call, bench.scale.calls, at_once)
                    bench.say(f"http: done with {at_once} at once")
            except* aiohttp.ClientError as error:
                raise WrongError(f"{HTTP.name}: {error.exceptions[0]}\n{running.said()}") from None
    return timings


def _operations(session: "aiohttp.ClientSession") -> dict[str, Callable[[int], Awaitable[object]]]:
    """Heroes with ids from 1 stand already: these are what is changed."""

    async def request(method: str, path: str, body: object = None) -> None:
        async with session.request(method, path, json=body) as answer:
            await answer.read()

    return {
        "create": lambda number: request("POST", "/heroes/", hero_data(number)),
        "list": lambda _: request("GET", "/heroes/"),
        "get": lambda number: request("GET", f"/heroes/{number}"),
        "update": lambda number: request("PATCH", f"/heroes/{number}", {"age": number % 90}),
        "delete": lambda number: request("DELETE", f"/heroes/{number}"),
    }


async def _answers(session: "aiohttp.ClientSession", running: Running) -> None:
    import aiohttp

    deadline = monotonic() + _START_SECONDS
    while True:
        running.require_alive()
        try:
            async with session.get("/heroes/") as answer:
                await answer.read()
                return
        except aiohttp.ClientError:
            if monotonic() > deadline:
                raise
        await asyncio.sleep(0.05)
