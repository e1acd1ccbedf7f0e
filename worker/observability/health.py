"""Answers `/livez` and `/readyz` over HTTP, on loopback unless told otherwise.

Ready means that commands are really being taken: the connection alone says nothing about the consumers on it.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import orjson
import uvicorn

from worker.errors import SettingsError

Checks = Callable[[], Awaitable[Mapping[str, str | None]]]
"""Each part by name, with None where it is well and otherwise what is wrong with it."""

_OK, _NOT_FOUND, _UNAVAILABLE = 200, 404, 503


class HealthServer:
    """A small HTTP server in the worker's own event loop."""

    def __init__(self, host: str, port: int, checks: Checks) -> None:
        self._checks = checks
        self._socket = _listening(host, port)
        config = uvicorn.Config(
            self._app, interface="asgi3", lifespan="off", log_config=None, access_log=False, server_header=False
        )
        self._server = _Quiet(config)
        self._serving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it listens, with the port that was really taken."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{host}:{port}"

    async def start(self) -> None:
        """It answers from now on."""
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))

    async def stop(self) -> None:
        """It answers no more."""
        self._server.should_exit = self._server.force_exit = True
        if self._serving is not None:
            await asyncio.gather(self._serving, return_exceptions=True)
        self._socket.close()

    async def _app(
        self, scope: Mapping[str, Any], _: Any, send: Callable[[Mapping[str, Any]], Awaitable[None]]
    ) -> None:
        status, document = await self._answer(scope.get("path", ""))
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)})

    async def _answer(self, path: str) -> tuple[int, Mapping[str, Any]]:
        if path == "/livez":
            return _OK, {"status": "alive"}
        if path == "/readyz":
            parts = await self._checks()
            wrong = {name: problem for name, problem in parts.items() if problem is not None}
            shown = {name: problem or "ok" for name, problem in parts.items()}
            return _UNAVAILABLE if wrong else _OK, {"status": "not ready" if wrong else "ready", **shown}
        return _NOT_FOUND, {"paths": ["/livez", "/readyz"]}


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
