"""Headless Chromium, and the small site that it looks at: pages with the headers that a worker sends with them.

`make` brings Chromium where CI runs, and there a test never passes for want of it; elsewhere who has none skips.
"""

import asyncio
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless",
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--enable-logging=stderr",  # what a page's console says
)
_DEADLINE_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Sight:
    """What a page had become, as HTML, and what the browser wrote about it."""

    html: str
    said: str

    @property
    def violations(self) -> list[str]:
        """What the page's policy has forbidden."""
        return [line for line in self.said.splitlines() if "Content Security Policy" in line]


@dataclass(frozen=True, slots=True)
class Chromium:
    """The browser, with a folder of its own for each run."""

    program: str
    folder: Path

    @classmethod
    def found(cls, folder: Path) -> "Chromium":
        """The one of this machine."""
        program = next(filter(None, map(shutil.which, _NAMES)), None)
        if program is None:
            lacking = "needs Chromium: install it (Debian: apt-get install chromium)"
            if os.environ.get("CI") == "true":
                pytest.fail(lacking)
            pytest.skip(lacking)
        return cls(program, folder)

    async def see(self, url: str, *, dark: bool = False, for_seconds: float = 0) -> Sight:
        """The page, after so long in the browser's own time, which runs ahead of ours."""
        waiting = (f"--virtual-time-budget={for_seconds * 1000:.0f}",) if for_seconds else ()
        return await self._run(url, "--dump-dom", *waiting, dark=dark)

    async def picture(self, url: str, to: Path, size: tuple[int, int], *, dark: bool) -> None:
        """A screenshot of the page as PNG."""
        await self._run(url, f"--screenshot={to}", f"--window-size={size[0]},{size[1]}", dark=dark)

    async def _run(self, url: str, *options: str, dark: bool) -> Sight:
        scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
        process = await asyncio.create_subprocess_exec(
            self.program,
            *_OPTIONS,
            f"--user-data-dir={self.folder / 'profile'}",
            scheme,
            *options,
            url,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,  # it has children
        )
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                html, said = await process.communicate()
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        assert process.returncode == 0, said.decode(errors="replace")
        return Sight(html.decode(), said.decode(errors="replace"))


@dataclass(slots=True)
class Exhibit:
    """A site of these pages, each with its headers, and how often each was asked for; `later`: from the second time."""

    url: str = ""
    pages: dict[str, tuple[bytes, Mapping[str, str]]] = field(default_factory=dict)
    later: dict[str, tuple[bytes, Mapping[str, str]]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)


@contextmanager
def exhibited() -> Iterator[Exhibit]:
    """An empty site; pages can be put there meanwhile."""
    exhibit = Exhibit()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            exhibit.asked[self.path] += 1
            first = exhibit.asked[self.path] == 1
            page = exhibit.pages.get(self.path, (b"", {}))
            body, headers = page if first else exhibit.later.get(self.path, page)
            self.send_response(200)
            for name, value in {"content-type": "text/html; charset=utf-8", **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        exhibit.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield exhibit
        finally:
            server.shutdown()
            thread.join()
