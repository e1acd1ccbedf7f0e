"""A cable between one worker and one service: it can be cut, or turned into a black hole where sockets stay."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(slots=True)
class Cable:
    """Carries bytes between `url` and the service."""

    url: str
    _host: str
    _port: int
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)
    _ends: set[asyncio.StreamWriter] = field(default_factory=set)
    _carrying: set["asyncio.Task[None]"] = field(default_factory=set)
    latency_seconds: float = 0  # of each way
    peers: set[int] = field(default_factory=set)  # our ports towards the service: whose connection is whose

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str, *, latency_seconds: float = 0) -> AsyncIterator["Cable"]:
        """A cable to the service of this URL; its own URL differs in the port only."""
        address = urlsplit(url)
        cable = cls("", address.hostname or "", address.port or 0, latency_seconds=latency_seconds)
        cable.heal()
        server = await asyncio.start_server(cable._connect, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        user, _, _ = address.netloc.rpartition("@")
        cable.url = address._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()
        try:
            yield cable
        finally:
            server.close()
            for task in cable._carrying:
                task.cancel()
            cable.cut()
            await asyncio.gather(*cable._carrying, return_exceptions=True)

    def cut(self) -> None:
        """Every connection through it is reset on both ends; new ones are carried."""
        for end in list(self._ends):
            end.transport.abort()

    def blackhole(self) -> None:
        """No byte, no end and no new connection gets through, in either direction, and nobody is told."""
        self._flowing.clear()

    def heal(self) -> None:
        """What was held up goes on."""
        self._flowing.set()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        self._ends.add(writer)
        try:
            await self._flowing.wait()
            with contextlib.suppress(OSError):
                await self._carry(reader, writer)
        finally:
            self._carrying.discard(task)
            self._ends.discard(writer)
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward_writer = await asyncio.open_connection(self._host, self._port)
        peer = onward_writer.get_extra_info("sockname")[1]
        self.peers.add(peer)
        self._ends.add(onward_writer)
        try:
            await asyncio.gather(self._pump(reader, onward_writer), self._pump(onward_reader, writer))
        finally:
            self.peers.discard(peer)
            self._ends.discard(onward_writer)
            onward_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await asyncio.sleep(self.latency_seconds)
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        await self._flowing.wait()
        writer.close()
