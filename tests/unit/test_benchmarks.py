"""What the benchmarks make of what they measure: ratios and verdicts; and who is missing is named."""

import asyncio
from math import isnan, nan
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest

from benchmarks.calls import Timing, percentile, timed
from benchmarks.contestants import Contestant
from benchmarks.field import HTTP, LEAN_PEERS, PEERS, hand_written
from benchmarks.guard import FLOOR, MEASURED, verdict
from benchmarks.publisher import Publisher, _fully
from benchmarks.race import Figure
from benchmarks.section import number
from benchmarks.tournament import Tally
from benchmarks.usage import Cpu
from tests.harness.house_rules import every_exception_from_a_check_has_a_reason, nothing_is_long
from tests.harness.source import sources


def figure(name: str, per_second: float) -> Figure:
    return Figure(name, per_second, Cpu(600, 300, 100), 50 * 2**20, 0)


def rounds(*pairs: tuple[float, float]) -> Tally:
    return Tally([{n: figure(n, rate) for n, rate in zip(("limit", "ours"), pair, strict=True)} for pair in pairs])


def test_the_guard_fails_for_a_ratio_below_the_floor() -> None:
    fast_enough, sentence = verdict("create", [FLOOR - 0.01] * 5)
    assert not fast_enough
    assert f"the floor is {FLOOR:.2f}" in sentence


def test_a_regression_of_a_third_from_what_was_measured_does_not_pass_the_guard() -> None:
    assert verdict("create", [MEASURED])[0]
    assert not verdict("create", [MEASURED * 2 / 3])[0]


def test_one_slow_round_does_not_fail_the_guard_and_one_fast_round_does_not_save_it() -> None:
    assert verdict("create", [0.5, 0.1, 0.5])[0]
    assert not verdict("create", [0.2, 0.9, 0.2])[0]


def test_a_ratio_is_taken_within_a_round_so_that_a_slow_minute_hits_both() -> None:
    """By the medians of the rates the ratio would be 0.25."""
    assert rounds((1000, 500), (200, 100), (2000, 200)).ratio("ours", "limit") == 0.5


def test_who_has_no_figure_has_no_ratio_and_is_not_the_best() -> None:
    tally = rounds((1000, 500))
    assert isnan(tally.ratio("ours", "nobody"))
    assert tally.best(["nobody", "ours"]) == "ours"
    assert tally.best(["nobody"]) == ""


def test_a_library_that_is_not_there_is_named() -> None:
    assert Contestant("x", (), needs=("json", "no_such_library")).missing() == ["no_such_library"]


@pytest.mark.parametrize("peer", [*LEAN_PEERS, *PEERS, HTTP], ids=lambda peer: peer.name)
def test_every_peer_says_what_it_leaves_out_here_and_in_its_file(peer: Contestant) -> None:
    (module,) = {word.split(":")[0] for word in peer.arguments if "benchmarks.peers" in word}
    source = Path(*module.split(".")).with_suffix(".py")
    assert peer.leaves_out
    assert "leaves out: " in (Path(__file__).parents[2] / source).read_text()


async def test_calls_are_made_once_each_and_never_more_at_once_than_asked() -> None:
    made: list[int] = []
    under_way = most = 0

    async def call(number: int) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await timed(_nothing, 1, 1)
        made.append(number)
        under_way -= 1

    await timed(call, 20, 4)
    assert sorted(made) == list(range(1, 21))
    assert most == 4


async def _nothing(_: int) -> None:
    """As fast as it gets."""


def test_percentiles() -> None:
    assert percentile(list(range(100)), 0.5) == 50
    assert percentile(list(range(100)), 0.99) == 99
    assert percentile([7], 0.99) == 7
    assert Timing.of([0.002, 0.001], 3).p50_milliseconds == 2


def test_cpu_of_one_command() -> None:
    spent = Cpu(1, 2, nan).spent_until(Cpu(2, 4, nan), 1000)
    assert (spent.worker, spent.database) == (1000, 2000)
    assert isnan(spent.total)
    assert number(spent.broker) == "-"


def test_processes_that_share_the_queues_are_told_which_they_are() -> None:
    two = hand_written(2)
    assert (two.name, two.copies, two.arguments[-2:]) == ("hand-written x 2", 2, ("{copy}", "2"))


def test_the_benchmarks_keep_to_the_size_of_the_house() -> None:
    rules = (nothing_is_long, every_exception_from_a_check_has_a_reason)
    broken = [violation for source in sources("benchmarks") for rule in rules for violation in rule(source)]
    assert not broken, "\n".join(broken)


async def test_to_find_what_is_carried_so_many_commands_are_under_way_and_a_repeated_event_makes_no_room() -> None:
    under_way, most = set[str](), 0

    class Channel:
        async def basic_publish(self, body: bytes, **_: object) -> None:
            nonlocal most
            command_id = orjson.loads(body)["id"]
            under_way.add(command_id)
            most = max(most, len(under_way))
            asyncio.get_running_loop().call_later(0.001, arrive, command_id)

    def arrive(command_id: str) -> None:
        under_way.discard(command_id)
        event = SimpleNamespace(body=orjson.dumps({"causationid": command_id}))
        heard = (publisher._hear(event) for _ in range(2))  # type: ignore[arg-type]  # all that it looks at
        hearing.extend(map(asyncio.ensure_future, heard))

    hearing: list[asyncio.Future[None]] = []
    publisher = Publisher(Channel())  # type: ignore[arg-type]  # what it needs of one
    await _fully(publisher, 7, 0.1)
    await publisher.all_heard(5)
    await asyncio.gather(*hearing)
    assert most == 7
    assert len(publisher.sent) > 7
