"""A cable between a worker and its broker or database that a test can cut."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(slots=True)
class Cable:
    """Carries bytes both ways between `url` and the server; plug in again after a cut.

    `doors` tells for each of the next connections whether it is let in; others find the door shut behind them.
    """

    url: str
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)
    _ends: list[asyncio.StreamWriter] = field(default_factory=list)
    _carrying: set["asyncio.Task[None] | None"] = field(default_factory=set)
    _trap: "_Trap | None" = None
    doors: list[bool] = field(default_factory=list)
    latency_seconds: float = 0
    _connections: list["_Ends"] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator["Cable"]:
        """A cable to the broker of this URL; its own URL differs in host and port only."""
        address = urlsplit(url)
        cable = cls("")
        cable.release()

        async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if cable.doors and not cable.doors.pop(0):
                await _greet_and_close(reader, writer, address.hostname or "", address.port or 5672)
                return
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

    def cut_when_said(self, words: bytes, *, answered: bool) -> asyncio.Event:
        """Cuts the connection on which the near end says this next: before the far end hears it, or when the answer is
        on its way back. Set when it has happened.
        """
        self._trap = _Trap(words, answered)
        return self._trap.sprung

    def swallow(self) -> None:
        """On every connection that there is, whatever either end says vanishes, and both think that they are connected.
        New connections work.
        """
        for one in self._connections:
            one.swallows = True

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
            ends = _Ends(self, (writer, onward_writer))
            self._connections.append(ends)
            await asyncio.gather(
                _pump(reader, onward_writer, ends.hears, lambda: self.latency_seconds),
                _pump(onward_reader, writer, ends.answers, lambda: self.latency_seconds, self._flowing),
            )
        finally:
            self._carrying.discard(task)


async def _greet_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
    """The far end's first words still arrive: so a server that is going down looks from behind a proxy."""
    onward_reader, onward_writer = await asyncio.open_connection(host, port)
    onward_writer.write(await reader.read(8))
    writer.write(await onward_reader.read(65536))
    await writer.drain()
    writer.close()
    onward_writer.close()


@dataclass(slots=True)
class _Trap:
    words: bytes
    answered: bool
    sprung: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _Ends:
    """Both ends of one connection; cuts it when the cable's trap is sprung on it."""

    cable: Cable
    writers: tuple[asyncio.StreamWriter, ...]
    caught: _Trap | None = None
    swallows: bool = False

    def hears(self, data: bytes) -> bool:
        """Whether what the near end says is carried on."""
        trap = self.cable._trap
        if trap is None or trap.words not in data:
            return not self.swallows
        self.cable._trap, self.caught = None, trap
        return trap.answered or self._cut()

    def answers(self, _: bytes) -> bool:
        """Whether what the far end says is carried on."""
        return not self.swallows and (self.caught is None or self._cut())

    def _cut(self) -> bool:
        for writer in self.writers:
            writer.transport.abort()
        if self.caught:
            self.caught.sprung.set()
        return False


async def _pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    passes: Callable[[bytes], bool],
    latency_seconds: Callable[[], float],
    flowing: asyncio.Event | None = None,
) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            if not passes(data):
                continue
            if latency_seconds():
                await asyncio.sleep(latency_seconds())
            if flowing is not None:
                await flowing.wait()
            writer.write(data)
            await writer.drain()
    writer.close()
