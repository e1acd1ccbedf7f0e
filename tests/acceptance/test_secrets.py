"""Nothing secret comes out of a worker: not in its log, its figures, its pages, its spans, its process title.

A secret is planted wherever one may stand, and everything that the process writes, serves and sends is searched.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from tests.harness.commands import create, raw_create, update
from tests.harness.leaky import ASKS, BREAKS, RAISES, leaky
from tests.harness.program import Program, as_log_line
from tests.harness.stage import Stage, eventually
from tests.harness.users import PASSWORD, management_of, user
from tests.harness.wire import Wire
from worker.local import Services
from worker.messaging.letter import LetterReader

SECRET = "Zx9Qk7-never-to-be-seen"
PLANTED = (SECRET, PASSWORD, "otlp-Zx9Qk7")


@dataclass(slots=True)
class Collector:
    """Takes what is sent to it by HTTP, and keeps every byte."""

    port: int = 0
    taken: bytearray = field(default_factory=bytearray)

    @classmethod
    @asynccontextmanager
    async def listening(cls) -> AsyncIterator["Collector"]:
        """On a free port."""
        collector = cls()
        server = await asyncio.start_server(collector._take, "127.0.0.1", 0)
        collector.port = server.sockets[0].getsockname()[1]
        async with server:
            yield collector

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.splitlines() if line.lower().startswith(b"content-length")
        )
        self.taken += await reader.readexactly(length)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


async def _provoke(wire: Wire) -> list[str]:
    """Commands of every kind of end, each with the secret in it; the ids of those that reach a handler."""
    good = create(name=SECRET, secret_name=SECRET)
    hero = (await wire.outcome(good))["data"]["hero"]["id"]
    commands = [
        *(create(name=f"{kind} {SECRET}", secret_name=SECRET) for kind in (RAISES, ASKS, BREAKS)),
        update(hero, {"secret_name": SECRET}),
        update(hero, {"secret_name": SECRET}, expected_version=99),
    ]
    for command in commands:
        await wire.outcome(command)
    reused = json.loads(good.to_json()) | {"data": {"name": SECRET, "secret_name": f"{SECRET} 2"}}
    bad = (
        raw_create(data={"name": 1, "secret_name": SECRET, "unknown": SECRET}),
        raw_create(data={"name": SECRET, "secret_name": SECRET * 20}),
        raw_create(secret_name=SECRET, data=[SECRET]),
        reused,
    )
    bodies = [json.dumps(one).encode() for one in bad] + [f'{{"secret_name": "{SECRET}"'.encode()]
    for body in bodies:
        await wire.publish(body, headers={"secret": SECRET}, app_id=SECRET)
    for body in bodies:
        await wire.letters_with(body)
    return [command.id for command in commands]


async def _served(program: Program) -> tuple[str, int]:
    url = (await program.ready()).removesuffix("/readyz")
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        pages = [await client.get(url + path) for path in ("/livez", "/readyz", "/metrics", f"/{SECRET[:3]}")]
    return "\n".join(f"{page.headers}\n{page.text}" for page in pages), pages[2].text.count("\n")


def _title(program: Program) -> bytes:
    return Path(f"/proc/{program.process.pid}/cmdline").read_bytes()


@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_nothing_secret_comes_out_of_a_worker(
    stage: Stage, wire: Wire, services: Services, log_format: str
) -> None:
    async with (
        Collector.listening() as collector,
        management_of(services) as management,
        user(management, stage.rabbitmq_url, configure=".*") as rabbitmq_url,
    ):
        environment = {
            "HEROES_RABBITMQ_URL": rabbitmq_url,
            "HEROES_OTLP_ENDPOINT": f"http://ann:otlp-Zx9Qk7@127.0.0.1:{collector.port}",
            "HEROES_LOG_FORMAT": log_format,
            "HEROES_LOG_LEVEL": "DEBUG",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        async with leaky(stage.environment(**environment)) as program:
            ids = await _provoke(wire)
            served, lines = await _served(program)
            title = _title(program)

            async def has_heard() -> bool:
                return all(one.encode() in collector.taken for one in ids)

            await eventually(has_heard, "the spans have arrived")
    assert all(one in program.output for one in ids), "it was searched for in the wrong place"
    assert lines > 100
    database_password = urlsplit(stage.database_url).password or SECRET
    for secret in (*PLANTED, database_password):
        for where, text in (
            ("log", program.output),
            ("pages", served),
            ("spans", collector.taken.decode(errors="replace")),
        ):
            assert secret not in text, f"{secret} stands in the {where}: {_around(text, secret)}"
        assert secret.encode() not in title


def _around(text: str, secret: str) -> str:
    at = text.index(secret)
    return text[max(0, at - 300) : at + 100]


async def test_every_line_about_a_command_names_it(stage: Stage, wire: Wire) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    command = create(name=f"{RAISES} once", correlationid="order 66", traceparent=f"00-{trace}-b7ad6b7169203331-01")
    async with leaky(stage.environment(HEROES_LOG_LEVEL="DEBUG")) as program:
        await wire.outcome(command)
        plain = create()
        await wire.outcome(plain)
    lines = [as_log_line(line) for line in program.lines]
    names = {"command_id": command.id, "command_type": "hero.create", "correlation_id": "order 66", "trace_id": trace}
    ours = [line for line in lines if line.get("command_id") == command.id]
    assert {name for line in ours for name in names if line[name] != names[name]} == set()
    said = [(line["level"], line["event"].partition(",")[0]) for line in ours if line["logger"] != "worker.faststream"]
    assert said == [("warning", "attempt 1 failed"), ("error", "dead-lettered: handler_failed")]
    (settled,) = [line for line in ours if "settlement" in line]
    assert settled["settlement"] == "dead_lettered"
    assert 0 < settled["seconds"] < 60
    assert settled["queue"] == f"heroes.commands.{command.routing_key}"
    (success,) = [line for line in lines if line.get("command_id") == plain.id and "settlement" in line]
    assert (success["level"], success["event"]) == ("debug", "applied")
    assert "trace_id" not in success


async def test_the_line_about_what_could_not_be_read_names_its_letter(stage: Stage, wire: Wire) -> None:
    body = f"no JSON {uuid4()}".encode()
    async with leaky(stage.environment()) as program:
        await wire.publish(body, "03")
        (letter,) = await wire.letters_with(body)
    (line,) = [one for one in map(as_log_line, program.lines) if one.get("settlement") == "dead_lettered"]
    assert line["letter"] == f"sha256:{sha256(body).hexdigest()}"
    assert LetterReader(1000).read(letter).is_called(line["letter"])
