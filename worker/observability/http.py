"""Answers HTTP in a thread with a loop of its own, so that somebody answers while the worker's loop is stuck.

Only `/livez` is answered there; every other page is made in the worker's loop, where what it tells may be read, and a
page that was made beforehand is shown while that loop is silent.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Thread
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl

import orjson
import uvicorn

from worker.errors import SettingsError
from worker.failsafe import Failure, caught

_STUCK_AFTER_SECONDS = 10.0
_BEATS = 10  # in that time
_PAGE_TIMEOUT_SECONDS = 5.0
_STOP_SECONDS = 1.0

_QUERY_FIELDS = 10  # nobody asks for more

OK, ELSEWHERE, NOT_FOUND, NOT_ALLOWED, FAILED, UNAVAILABLE = 200, 307, 404, 405, 500, 503


@dataclass(frozen=True, slots=True)
class Page:
    """One answer."""

    body: bytes
    status: int = OK
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Mapping[str, Any], status: int = OK, **headers: str) -> "Page":
        """As JSON."""
        return cls(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE), status, headers=headers)


_READ_ONLY = Page.of({"status": "everything here is read only"}, NOT_ALLOWED, allow="GET, HEAD")
_SILENT = Page.of({"status": "the worker's event loop gave no answer in time"}, UNAVAILABLE)

Query = Mapping[str, str]
"""What stands behind the question mark; of a name that comes twice, the last."""

Pages = Mapping[str, Callable[[Query], Awaitable[Page]]]
"""What is answered at each path."""


class HttpServer:
    """Listens from the moment it is made, and answers between `start` and `stop`."""

    def __init__(
        self,
        host: str,
        port: int,
        pages: Pages,
        stuck_after_seconds: float = _STUCK_AFTER_SECONDS,
        silent: Mapping[str, Page] | None = None,
    ) -> None:
        self._pages = pages
        self._silent = silent or {}  # what is answered at a path while the worker's loop is not
        self._stuck_after_seconds = stuck_after_seconds
        self._socket = _listening(host, port)
        config = uvicorn.Config(
            self._app, interface="asgi3", lifespan="off", log_config=None, access_log=False, server_header=False
        )
        self._server = _Quiet(config)
        self._thread = Thread(target=self._serve, name="http", daemon=True)
        self._beating: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._beat_at = 0.0

    @property
    def url(self) -> str:
        """Where it listens, with the port that was really taken."""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def start(self) -> None:
        """It answers from now on, and watches the present loop."""
        self._loop = asyncio.get_running_loop()
        self._beat_at = monotonic()
        self._beating = asyncio.create_task(self._beat())
        self._thread.start()

    async def stop(self) -> None:
        """It answers no more."""
        self._server.should_exit = self._server.force_exit = True
        await asyncio.to_thread(self._thread.join, _STOP_SECONDS)
        if self._beating is not None:
            self._beating.cancel()
        self._socket.close()

    async def _beat(self) -> None:
        while True:
            self._beat_at = monotonic()
            await asyncio.sleep(self._stuck_after_seconds / _BEATS)

    def _serve(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    async def _app(
        self, scope: Mapping[str, Any], _: Any, send: Callable[[Mapping[str, Any]], Awaitable[None]]
    ) -> None:
        page = await self._answer(scope.get("method", ""), scope.get("path", ""), scope.get("query_string", b""))
        told = {"content-type": page.content_type, "cache-control": "no-store", "x-content-type-options": "nosniff"}
        headers = [(name.encode(), value.encode()) for name, value in {**told, **page.headers}.items()]
        await send({"type": "http.response.start", "status": page.status, "headers": headers})
        await send({"type": "http.response.body", "body": page.body})

    async def _answer(self, method: str, path: str, query: bytes) -> Page:
        if method not in {"GET", "HEAD"}:
            return _READ_ONLY
        if path == "/livez":
            return self._alive()
        if (make := self._pages.get(path)) is None:
            return Page.of({"paths": ["/livez", *self._pages]}, NOT_FOUND)
        assert self._loop is not None  # noqa: S101 - there is nobody to answer before `start`
        making = asyncio.run_coroutine_threadsafe(caught(make, _query(query)), self._loop)
        try:
            async with asyncio.timeout(_PAGE_TIMEOUT_SECONDS):
                page = await asyncio.wrap_future(making)
        except TimeoutError:
            return self._silent.get(path, _SILENT)
        if isinstance(page, Failure):
            return Page.of({"status": "failed", "error": type(page.error).__name__}, FAILED)
        return page

    def _alive(self) -> Page:
        silent_seconds = monotonic() - self._beat_at
        if silent_seconds < self._stuck_after_seconds:
            return Page.of({"status": "alive"})
        return Page.of({"status": "stuck", "event_loop_silent_seconds": round(silent_seconds, 1)}, UNAVAILABLE)


def _query(raw: bytes) -> Query:
    """As far as it can be read."""
    try:
        return dict(parse_qsl(raw.decode("ascii", "replace"), max_num_fields=_QUERY_FIELDS))
    except ValueError:
        return {}


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise SettingsError(
            f"HEROES_HTTP_PORT: {host}:{port} can't be listened on ({error.strerror}); another worker may be there:"
            " choose another port, or 0 for any free one"
        ) from None


class _Quiet(uvicorn.Server):
    """Leaves the signals to the worker, which has commands to finish first."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
