"""The page for eyes says what is wrong in plain words, and lets nothing through that a message may hold."""

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from contracts.channels import DEAD_LETTERS
from tests.harness.drawn import RENDERER, page_of
from tests.harness.facts import calm, hostile
from tests.harness.stage import Stage
from worker.observability.http import Page
from worker.observability.observed import observed
from worker.ops.board import Board
from worker.ops.facts import Facts, GateFact, Owed, QueueFact
from worker.ops.verdict import STUCK, Level, verdict_on

MOST_BYTES = 100_000


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
