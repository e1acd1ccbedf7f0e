"""The page for eyes in a real browser: it fits a phone, can be read by light and by night, and runs no script."""

import asyncio
import json
import re
import struct
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import aio_pika
import httpx
import pytest
import pytest_asyncio

from tests.harness.browser import Chromium, Exhibit, exhibited
from tests.harness.commands import raw_create
from tests.harness.facts import hostile
from tests.harness.stage import Stage, eventually
from tests.harness.workers import tidy_worker
from worker.local.probes import free_ports
from worker.ops.render import Renderer
from worker.ops.verdict import verdict_on

PHONE, DESK = 360, 1280
LEAST_CONTRAST = 4.5
INJECTED = b'<script>document.title = "it ran"</script><p id="red" style="color: red" onclick="x()">x</p></main>'

# The one who measures stands outside: nothing is added to the page itself. A frame is as wide as a window would be.
MEASURE = r"""
const rgb = (text) => text.match(/[\d.]+/g).map(Number);
const light = ([r, g, b]) => {
  const [x, y, z] = [r, g, b].map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const bed = (view, element) => {
  for (let one = element; one; one = one.parentElement) {
    const colour = rgb(view.getComputedStyle(one).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const contrast = (view, element) => {
  const [a, b] = [light(rgb(view.getComputedStyle(element).color)), light(bed(view, element))];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
};
const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
const measured = (frame) => {
  const view = frame.contentWindow, page = frame.contentDocument;
  const texts = [...page.body.querySelectorAll('*')].filter(hasText);
  const worst = texts.map((one) => [contrast(view, one), one.outerHTML.slice(0, 80)]).sort((a, b) => a[0] - b[0])[0];
  return {
    page: frame.dataset.page, width: view.innerWidth, scrolls: page.documentElement.scrollWidth,
    texts: texts.length, contrast: worst[0], where: worst[1], scripts: page.scripts.length,
    background: view.getComputedStyle(page.body).backgroundColor,
    fetched: view.performance.getEntriesByType('resource').map((one) => one.name),
    cards: [...page.querySelectorAll('.card')].map((one) => one.getBoundingClientRect().left),
  };
};
window.onload = () => {
  document.getElementById('found').textContent = JSON.stringify([...document.querySelectorAll('iframe')].map(measured));
};
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Chromium:
    return Chromium.found(tmp_path_factory.mktemp("chromium"))


@pytest.fixture(scope="module")
def exhibit() -> Iterator[Exhibit]:
    with exhibited() as site:
        yield site


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def real(chromium: Chromium, stage: Stage) -> AsyncIterator[httpx.Response]:
    """The page of a worker that has set hostile messages aside."""
    (port,) = free_ports(1)
    async with (
        tidy_worker(stage, http_port=port, worker_id="worker-7"),
        await aio_pika.connect(stage.rabbitmq_url) as connection,
        httpx.AsyncClient(trust_env=False, timeout=20) as client,
    ):
        channel = await connection.channel()
        commands = await channel.get_exchange("heroes.commands")
        for document in (raw_create(data={}), raw_create(type=f"<script>{'x' * 150}")):
            await commands.publish(aio_pika.Message(json.dumps(document).encode()), "01")

        async def are_seen() -> bool:
            text = (await client.get(f"http://127.0.0.1:{port}/ops")).text
            return "2 wait for a person" in re.sub(r"\s+", " ", text) and "last 2 that this worker" in text

        await eventually(are_seen, "the page tells of both letters")
        yield await client.get(f"http://127.0.0.1:{port}/ops")


@pytest.fixture(scope="module")
def gallery(exhibit: Exhibit, real: httpx.Response) -> Exhibit:
    """The real page and the worst one, in frames as wide as a phone and as a desk; the frames' own wall is open."""
    facts = hostile()
    worst = Renderer("worker-7", "1.0").page(verdict_on(facts), facts, refresh=True)
    for name, body, headers in (("/real", real.content, real.headers), ("/worst", worst.body, worst.headers)):
        exhibit.pages[name] = (body, _open_to_frames(headers))
    frames = "".join(
        f'<iframe data-page="{page}" src="{page}" style="width: {width}px; height: 900px; border: 0"></iframe>'
        for page in ("/real", "/worst")
        for width in (PHONE, DESK)
    )
    outside = (
        f'<!doctype html><pre id="found"></pre><div style="width: 3000px">{frames}</div><script>{MEASURE}</script>'
    )
    exhibit.pages["/gallery"] = (outside.encode(), {})
    return exhibit


def _open_to_frames(headers: Mapping[str, str]) -> dict[str, str]:
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    return {"content-security-policy": policy.replace("frame-ancestors 'none'", "frame-ancestors 'self'")}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_it_fits_and_can_be_read_and_fetches_nothing(chromium: Chromium, gallery: Exhibit, *, dark: bool) -> None:
    sight = await chromium.see(f"{gallery.url}/gallery", dark=dark)
    found = re.search(r'<pre id="found">(.+?)</pre>', sight.html, re.DOTALL)
    assert found, sight.html[:2000]
    frames: list[dict[str, Any]] = json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert [(one["page"], one["width"]) for one in frames] == [
        ("/real", PHONE), ("/real", DESK), ("/worst", PHONE), ("/worst", DESK),
    ]  # fmt: skip
    for one in frames:
        assert one["scrolls"] <= one["width"], one
        assert one["contrast"] >= LEAST_CONTRAST, one
        assert one["texts"] > 50
        assert (one["scripts"], one["fetched"]) == (0, [])
        assert one["background"] == ("rgb(20, 22, 26)" if dark else "rgb(246, 246, 244)"), "its own style holds"
        assert len(set(one["cards"])) == (1 if one["width"] == PHONE else 2), "one column, or two"
    assert sight.violations == []


async def test_what_is_injected_does_nothing_and_the_page_refreshes_itself_all_the_same(
    chromium: Chromium, exhibit: Exhibit, real: httpx.Response
) -> None:
    """The positive control, too: a violation would be seen. In the browser's own time 12 seconds pass at once."""
    assert real.content.count(b"</main>") == 1
    headers = {"content-security-policy": real.headers["content-security-policy"]}
    injected = real.content.replace(b"</main>", INJECTED)
    exhibit.pages["/injected"] = (injected, headers)
    exhibit.later["/injected"] = (injected.replace(b'http-equiv="refresh"', b""), headers)  # else it never ends
    sight = await chromium.see(f"{exhibit.url}/injected", for_seconds=12)
    assert 'id="red"' in sight.html
    assert "<title>it ran" not in sight.html
    assert len(sight.violations) >= 3, "the script, the style and the click"
    assert exhibit.asked["/injected"] == 2


@pytest.mark.fault
@pytest.mark.parametrize("width", [PHONE, DESK])
async def test_pictures_are_taken_for_a_person_to_look_at(
    chromium: Chromium, gallery: Exhibit, tmp_path: Path, width: int
) -> None:
    """A window can't be as narrow as a phone: the page stands in a frame."""
    frame = f'<iframe src="/real" style="width: {width}px; height: 2400px; border: 0"></iframe>'
    gallery.pages["/picture"] = (f'<!doctype html><body style="margin: 0">{frame}'.encode(), {})
    pictures = []
    for dark in (False, True):
        path = tmp_path / f"ops-{width}-{'dark' if dark else 'light'}.png"
        await chromium.picture(f"{gallery.url}/picture", path, (max(width, 500), 2400), dark=dark)
        pictures.append(await asyncio.to_thread(path.read_bytes))
    assert [struct.unpack(">II", picture[16:24]) for picture in pictures] == [(max(width, 500), 2400)] * 2
    assert pictures[0] != pictures[1]
