"""A cable between a worker and its broker that a test can cut."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(slots=True)
class Cable:
    """Carries bytes both ways between `url` and the broker; plug in again after a cut."""

    url: str
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)
    _ends: list[asyncio.StreamWriter] = field(default_factory=list)
    _carrying: set["asyncio.Task[None] | None"] = field(default_factory=set)

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator["Cable"]:
        """A cable to the broker of this URL; its own URL differs in host and port only."""
        address = urlsplit(url)
        cable = cls("")
        cable.release()

        async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                await cable._carry(reader, writer, address.hostname or "", address.port or 5672)

        server = await asyncio.start_server(connect, "127.0.0.1", 0)
        user, _, _ = address.netloc.rpartition("@")
        port = server.sockets[0].getsockname()[1]
        cable.url = address._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()
        try:
            yield cable
        finally:
            server.close()
            cable.cut()
            cable.release()
            await asyncio.gather(*(task for task in cable._carrying if task))

    def cut(self) -> None:
        """Everything that goes through it is cut off in the middle of whatever it does, on both ends."""
        ends, self._ends = self._ends, []
        for end in ends:
            end.transport.abort()

    def hold(self) -> None:
        """What the broker sends from now on is on its way and does not arrive; the other direction goes on."""
        self._flowing.clear()

    def release(self) -> None:
        """What was held arrives."""
        self._flowing.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
        onward_reader, onward_writer = await asyncio.open_connection(host, port)
        self._ends += writer, onward_writer
        task = asyncio.current_task()
        self._carrying.add(task)
        try:
            await asyncio.gather(_pump(reader, onward_writer), _pump(onward_reader, writer, self._flowing))
        finally:
            self._carrying.discard(task)


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flowing: asyncio.Event | None = None
) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            if flowing is not None:
                await flowing.wait()
            writer.write(data)
            await writer.drain()
    writer.close()
