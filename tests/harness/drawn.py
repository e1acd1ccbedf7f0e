"""The page for eyes, drawn of made-up facts for a worker with a hostile name."""

from tests.harness.facts import HOSTILE
from worker.observability.http import Page
from worker.ops.facts import Facts
from worker.ops.render import Renderer
from worker.ops.verdict import verdict_on

RENDERER = Renderer(HOSTILE * 100, "1.0")


def page_of(facts: Facts, *, refresh: bool = True) -> Page:
    """The page with these facts on it and the verdict on them."""
    return RENDERER.page(verdict_on(facts), facts, refresh=refresh)
