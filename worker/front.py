"""The pages on the worker's HTTP port, from its first moment to its last.

They only tell: nothing that is asked here changes anything.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files

from worker.assembly import Worker
from worker.observability.http import NOT_FOUND, OK, UNAVAILABLE, HttpServer, Page
from worker.observability.metrics import CONTENT_TYPE, Metrics
from worker.readiness import STARTING
from worker.settings import Settings


class Front:
    """Answers for a worker that may not be there yet."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._metrics = metrics
        self._worker: Worker | None = None
        pages = {"/readyz": self._readyz, "/metrics": self._exposition, "/asyncapi": self._asyncapi}
        self._server = HttpServer(settings.http_host, settings.http_port, pages)
        self.url = self._server.url

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """It answers meanwhile."""
        await self._server.start()
        try:
            yield
        finally:
            await self._server.stop()

    def shows(self, worker: Worker) -> None:
        """From now on it tells about this worker."""
        self._worker = worker

    async def _readyz(self) -> Page:
        parts = dict(await self._worker.problems()) if self._worker else {"worker": STARTING}
        wrong = any(problem is not None for problem in parts.values())
        shown = {name: problem or "ok" for name, problem in parts.items()}
        return Page.of({"status": "not ready" if wrong else "ready", **shown}, UNAVAILABLE if wrong else OK)

    async def _exposition(self) -> Page:
        readings = self._metrics.readings
        if self._worker is None:
            readings.ready = {"worker": False}
        else:
            readings.ready = {name: problem is None for name, problem in (await self._worker.problems()).items()}
            readings.latest = await self._worker.reading()
        return Page(self._metrics.exposition(), content_type=CONTENT_TYPE)

    @staticmethod
    async def _asyncapi() -> Page:
        document = files("contracts") / "asyncapi.json"
        if not document.is_file():
            return Page.of({"status": "this worker was built without its contract"}, NOT_FOUND)
        return Page(document.read_bytes())
