"""The page's figures are right and written for people, and a look at a service that hangs holds nobody up."""

import asyncio

import pytest

from worker.errors import UnreachableError
from worker.observability.metrics import Metrics
from worker.ops.glance import Glance, Patience
from worker.ops.pace import Pace, quantile
from worker.ops.render import age, rate


def test_rates_are_counted_since_the_start_and_lately() -> None:
    metrics = Metrics(["hero.create"])
    pace = Pace(metrics)
    for _ in range(30):
        metrics.commands.labels("hero.create", "applied").inc()
        metrics.critical.observe(0.004)
    metrics.retries.labels("bug").inc(2)
    tempo = pace.tempo()
    (only,) = tempo.rates
    assert (only.type, only.settlement, only.total) == ("hero.create", "applied", 30)
    assert only.lately_per_second is None  # less than a second says nothing
    assert tempo.retries_lately == {"refused": 0, "bug": 2, "away": 0}
    assert tempo.median_seconds is not None
    assert 0.001 < tempo.median_seconds < 0.005


def test_a_quantile_is_estimated_between_its_bounds() -> None:
    buckets = [(1.0, 10), (2.0, 20), (float("inf"), 21)]
    assert quantile(buckets, 0.5) == pytest.approx(1.05)
    assert quantile(buckets, 1) == 2
    assert quantile([(1.0, 0), (float("inf"), 0)], 0.5) is None
    assert quantile([(1.0, 0), (2.0, 4), (float("inf"), 4)], 0.5) == pytest.approx(1.5)


async def test_a_look_that_hangs_holds_nobody_up_and_looks_only_once() -> None:
    looks, let_go = 0, asyncio.Event()

    async def look() -> str:
        nonlocal looks
        looks += 1
        await let_go.wait()
        return "seen"

    glance = Glance(look, "RabbitMQ", Patience(ask_seconds=0.01, look_seconds=60, keep_seconds=60))
    for _ in range(2):
        assert (await glance.seen()).not_known == "RabbitMQ has not answered for 0.01 s"
    let_go.set()
    for _ in range(2):
        answer = await asyncio.wait_for(glance.seen(), 10)
        while answer.value is None:
            answer = await glance.seen()
    assert (answer.value, looks) == ("seen", 1)
    await glance.close()


async def test_a_look_that_fails_is_told_in_our_own_words() -> None:
    errors: list[Exception] = [UnreachableError("it is away"), ValueError("a password"), TimeoutError()]

    async def look() -> None:
        raise errors.pop(0)

    glance = Glance(look, "RabbitMQ", Patience(ask_seconds=10, look_seconds=4, keep_seconds=0))
    told = [(await glance.seen()).not_known for _ in range(3)]
    assert told == ["it is away", "RabbitMQ: ValueError", "RabbitMQ has not answered for 4 s"]


def test_figures_are_written_for_people() -> None:
    assert [age(seconds) for seconds in (0, 0.0123, 83, 400, 86_400, 9e5)] == [
        "0 s", "0.012 s", "83 s", "7 min", "24 h", "10 d",
    ]  # fmt: skip
    assert [rate(value) for value in (None, 0, 0.0031, 2.44, 812.4)] == ["-", "0", "0.0031", "2.4", "812"]
