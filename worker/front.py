"""The pages on the worker's HTTP port, from its first moment to its last.

They only tell: nothing that is asked here changes anything.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files

from worker.assembly import Worker
from worker.observability.http import ELSEWHERE, NOT_FOUND, OK, UNAVAILABLE, HttpServer, Page, Query
from worker.observability.metrics import CONTENT_TYPE
from worker.observability.observed import Observed
from worker.ops.board import Board
from worker.readiness import STARTING
from worker.settings import Settings


class Front:
    """Answers for a worker that may not be there yet."""

    def __init__(self, settings: Settings, observed: Observed) -> None:
        self._metrics = observed.metrics
        self._board = Board(settings, observed)
        self._worker: Worker | None = None
        pages = {
            "/": _to_the_page_for_eyes,
            "/readyz": self._readyz,
            "/metrics": self._exposition,
            "/asyncapi": self._asyncapi,
            "/ops": self._board.page,
        }
        self._server = HttpServer(settings.http_host, settings.http_port, pages, silent={"/ops": self._board.stuck})
        self.url = self._server.url

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """It answers meanwhile."""
        await self._server.start()
        pace = asyncio.create_task(self._board.keep_pace())
        try:
            yield
        finally:
            pace.cancel()
            await asyncio.gather(pace, return_exceptions=True)
            await self._server.stop()
            await self._board.close()

    def shows(self, worker: Worker) -> None:
        """From now on it tells about this worker."""
        self._worker = worker
        self._board.shows(worker)

    async def _readyz(self, _: Query) -> Page:
        parts = dict(await self._worker.problems()) if self._worker else {"worker": STARTING}
        wrong = any(problem is not None for problem in parts.values())
        shown = {name: problem or "ok" for name, problem in parts.items()}
        return Page.of({"status": "not ready" if wrong else "ready", **shown}, UNAVAILABLE if wrong else OK)

    async def _exposition(self, _: Query) -> Page:
        readings = self._metrics.readings
        if self._worker is None:
            readings.ready = {"worker": False}
        else:
            readings.ready = {name: problem is None for name, problem in (await self._worker.problems()).items()}
            readings.latest = await self._worker.reading()
        return Page(self._metrics.exposition(), content_type=CONTENT_TYPE)

    @staticmethod
    async def _asyncapi(_: Query) -> Page:
        document = files("contracts") / "asyncapi.json"
        if not document.is_file():
            return Page.of({"status": "this worker was built without its contract"}, NOT_FOUND)
        return Page(document.read_bytes())


async def _to_the_page_for_eyes(_: Query) -> Page:
    return Page.of({"see": "/ops"}, ELSEWHERE, location="/ops")
