"""Questions to the worker: `hero.get` and `hero.list`, by the typed client, one at a time and many at once."""

from collections.abc import Awaitable, Callable

from benchmarks.bench import Bench
from benchmarks.calls import Timing, timed
from benchmarks.contestants import WORKER, WrongError, started
from benchmarks.section import Section
from contracts.client import ClientError, HeroesClient

_HEROES = 1000
_PAGE = 100
_AT_ONCE = (1, 50)


async def measure(bench: Bench) -> Section:
    """How fast answers come."""
    timings: dict[str, Timing] = {}
    failed: dict[str, str] = {}
    async with bench.arena() as arena:
        await arena.clear(_HEROES)
        with started(WORKER, arena.settings) as running:
            try:
                async with HeroesClient(arena.settings.rabbitmq_url) as client:
                    await client.get(1)  # waits in the queue until the worker is there
                    timings = await _timings(client, bench.scale.calls)
                running.leave()
            except (ClientError, WrongError) as error:
                failed[WORKER.name] = f"{error}\n{running.said()}"
    bench.say("queries: done")
    return Section(
        name="queries",
        title="Queries",
        says=f"Asked by one client over one connection; a list is a page of {_PAGE} and the count of all {_HEROES}.",
        head=("query", "answers/s", "p50 ms", "p95 ms", "p99 ms"),
        rows=tuple((name, *timing.cells()) for name, timing in timings.items()),
        figures={"timings": timings},
        failed=failed,
    )


async def _timings(client: HeroesClient, calls: int) -> dict[str, Timing]:
    async def get(number: int) -> object:
        return await client.get(number % _HEROES + 1)

    async def page(_: int) -> object:
        return await client.list(limit=_PAGE)

    asked: dict[str, Callable[[int], Awaitable[object]]] = {"hero.get": get, "hero.list": page}
    return {
        f"{name}, {at_once} at once": await timed(call, calls, at_once)
        for name, call in asked.items()
        for at_once in _AT_ONCE
    }
