"""The page for eyes says what is wrong in plain words, and lets nothing through that a message may hold."""

import asyncio
import re
import shlex
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from typer.testing import CliRunner

from contracts.channels import DEAD_LETTERS
from tests.harness.facts import HOSTILE, calm, hostile, recent
from tests.harness.stage import Stage
from worker.cli import app
from worker.errors import UnreachableError
from worker.observability.http import Page
from worker.observability.metrics import Metrics
from worker.observability.observed import observed
from worker.ops.board import Board
from worker.ops.facts import Facts, GateFact, Owed, QueueFact
from worker.ops.glance import Glance, Patience
from worker.ops.letters import grouped
from worker.ops.pace import Pace, quantile
from worker.ops.render import Renderer, age, rate
from worker.ops.verdict import STUCK, Level, verdict_on
from worker.outcomes import Letter, Reason, Traits

MOST_BYTES = 100_000
RENDERER = Renderer(HOSTILE * 100, "1.0")


def page_of(facts: Facts, *, refresh: bool = True) -> Page:
    return RENDERER.page(verdict_on(facts), facts, refresh=refresh)


class Seen(HTMLParser):
    """Every element of a page, with its attributes."""

    def __init__(self, page: Page) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page.body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    @property
    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}

    def levels(self) -> list[int]:
        return [int(tag[1]) for tag, _ in self.elements if re.fullmatch(r"h[1-6]", tag)]


def test_whatever_a_message_says_is_text_and_no_more_than_so_long() -> None:
    hostile_page, calm_page = page_of(hostile()), page_of(calm())
    assert len(hostile_page.body) < MOST_BYTES
    seen = Seen(hostile_page)
    assert seen.tags <= Seen(calm_page).tags | {"h3", "bdi", "code", "ul", "li"}
    assert not any(name.startswith("on") or name == "style" for _, attributes in seen.elements for name in attributes)
    assert {attributes["href"] for tag, attributes in seen.elements if tag == "a"} == {
        "#main", "/ops?refresh=off", "/readyz", "/metrics", "/livez",
    }  # fmt: skip
    text = hostile_page.body.decode()
    assert "&lt;script&gt;" in text
    assert all(one.isprintable() or one == "\n" for one in unescape(text))


def test_its_policy_lets_in_nothing_but_its_own_style() -> None:
    page = page_of(calm())
    style = page.body.decode().partition("<style>")[2].partition("</style>")[0]
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert page.headers["content-security-policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "url(" not in style
    assert not Seen(page).tags & {"script", "link", "img", "iframe", "form", "input", "button", "object", "svg"}


@pytest.mark.parametrize("facts", [calm(), hostile()], ids=["calm", "hostile"])
def test_it_can_be_walked_through_without_eyes_or_mouse(facts: Facts) -> None:
    seen = Seen(page_of(facts))
    levels = seen.levels()
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert {"header", "main", "footer"} <= seen.tags
    assert all(attributes.get("scope") in {"col", "row"} for tag, attributes in seen.elements if tag == "th")
    first_link = next(attributes for tag, attributes in seen.elements if tag == "a")
    assert first_link["href"] == "#main"
    ids = [attributes["id"] for _, attributes in seen.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["aria-labelledby"] for _, attributes in seen.elements if "aria-labelledby" in attributes} <= {
        *ids
    }


def test_it_refreshes_itself_unless_it_is_paused() -> None:
    refreshing, paused = page_of(calm()).body.decode(), page_of(calm(), refresh=False).body.decode()
    assert '<meta http-equiv="refresh" content="5">' in refreshing
    assert 'href="/ops?refresh=off"' in refreshing
    assert "http-equiv" not in paused
    assert 'href="/ops"' in paused


def test_the_verdict_names_the_likeliest_cause_first() -> None:
    facts = calm()
    assert verdict_on(facts).sentence == "All is well: commands are taken"
    away = {"database": "it does not answer", "gate": "database", "schema": "not known while the other end …"}
    verdict = verdict_on(replace(facts, parts={**(facts.parts or {}), **away}))
    assert (verdict.level, verdict.sentence) == (Level.BAD, "Not ready: database and gate")
    assert [trouble.part for trouble in verdict.troubles] == ["database", "gate", "schema"]
    assert set(verdict.well) == {"worker", "commands", "publishing", "topology"}
    unknown = verdict_on(replace(facts, parts=None, parts_not_known="readiness has not answered for 2 s"))
    assert unknown.level is Level.BAD
    assert "✗ Not known whether it is ready" in re.sub("<[^>]+>", "", page_of(replace(facts, parts=None)).body.decode())


def test_what_works_and_is_worth_a_look_is_said_in_another_colour_and_other_words() -> None:
    facts = calm()
    assert facts.reading
    looked = replace(
        facts,
        queues=(QueueFact(DEAD_LETTERS, 1, 0), QueueFact("q", 9, 1, "", True, 32, True)),
        reading=replace(facts.reading, permits_slow=True),
        owed=Owed(3, 700, facts.at),
        queues_not_known="RabbitMQ has not answered for 4 s",
    )
    verdict = verdict_on(looked)
    assert verdict.level is Level.LOOK
    assert verdict.sentence == (
        "Commands are taken, but look at dead letters, slow, full, unpublished events and queues"
    )
    assert verdict_on(replace(facts, owed=Owed(0, 0, facts.at - 3600))).sentence.endswith("look at sweeper")
    text = page_of(looked).body.decode()
    assert 'class="verdict look"' in text
    assert "1 wait\ns for a person" not in text
    assert "1 waits for a person" in re.sub(r"\s+", " ", text)


def test_a_gate_that_is_closed_says_why_and_for_how_long() -> None:
    text = page_of(replace(calm(), gate=GateFact("database: it is away", 83, 400))).body.decode()
    assert "✗ closed</span> for 83 s: database: it is away." in text


def test_a_stuck_worker_is_told_without_asking_it() -> None:
    text = RENDERER.page(STUCK, None, refresh=True).body.decode()
    assert "Stuck: the worker does not answer" in text
    assert "<table" not in text


async def test_a_worker_that_is_still_starting_has_a_page_already() -> None:
    settings = Stage("amqp://a:the-password@h/", "postgresql+asyncpg://a:the-password@h/d").settings(worker_id="w-7")
    board = Board(settings, observed(settings, ["hero.create"]))
    text = (await board.page({})).body.decode()
    assert "✗</span> Not ready: worker</h1>" in text
    assert "it is still starting" in text
    assert "w-7" in text
    assert "the-password" not in text
    assert "http-equiv" not in (await board.page({"refresh": "off"})).body.decode()
    await board.close()


def test_each_group_of_letters_has_the_commands_that_handle_it() -> None:
    bug = Letter(Reason.HANDLER_FAILED, "the handler raised KeyError")
    letters = [(Traits(f"id-{number}", "hero.create"), bug) for number in range(5)]
    wrong = (Traits(None, None), Letter(Reason.INVALID_COMMAND, "Invalid JSON"))
    failed, invalid = reversed(grouped(recent(*letters, wrong)).groups)
    assert (failed.count, failed.ids) == (5, ("id-4", "id-3", "id-2"))
    assert [command for _, command in failed.commands] == [
        "heroes dead-letters list --ids --reason handler_failed --type hero.create",
        "heroes dead-letters show id-4",
        "heroes dead-letters show id-3",
        "heroes dead-letters show id-2",
        "heroes dead-letters replay --reason handler_failed --type hero.create --dry-run",
    ]
    assert [command for _, command in invalid.commands] == [
        "heroes dead-letters list --ids --reason invalid_command --type unknown"
    ]


def taken_by_our_program(command: str) -> bool:
    """It knows this command and all of its options; asked for help, it does nothing."""
    return CliRunner().invoke(app, [*shlex.split(command)[1:], "--help"]).exit_code == 0


def test_every_command_that_it_shows_is_one_that_our_program_takes() -> None:
    letters = [(Traits("id-1", "hero.create"), Letter(reason, "so it is")) for reason in Reason]
    groups = grouped(recent(*letters, (Traits("id-1", None), Letter("delivery_limit", "")))).groups
    shown = {command for group in groups for _, command in group.commands}
    shown |= set(re.findall(r"<code[^>]*>(heroes [^<]+)</code>", page_of(calm()).body.decode()))
    assert len(shown) > len(Reason)
    assert all(map(taken_by_our_program, shown))


def test_what_our_program_does_not_take_is_seen() -> None:
    assert not taken_by_our_program("heroes dead-letters replay --nonsense")
    assert not taken_by_our_program("heroes nothing")


@pytest.mark.parametrize("said", [HOSTILE, "--all", "a b", "a;reboot", "a\nb", "$(a)", "é", "a'b", "", "x" * 101])
def test_nothing_that_a_shell_or_our_program_would_read_differently_comes_into_a_command(said: str) -> None:
    for traits, reason in ((Traits(said, said), Reason.UNKNOWN_TYPE), (Traits("id", "type"), said)):
        (group,) = grouped(recent((traits, Letter(reason, "")))).groups
        for _, command in group.commands:
            assert said == "" or said not in command
            assert " ".join(shlex.split(command)) == command


def test_only_the_groups_in_which_something_came_last_are_shown_and_the_rest_is_counted() -> None:
    letters = [(Traits(None, f"type-{number}"), Letter("unknown_type", "")) for number in range(500)]
    found = grouped(recent(*letters))
    assert [group.type for group in found.groups] == [f"type-{number}" for number in range(499, 491, -1)]
    assert (found.seen, found.others) == (200, 192)


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
