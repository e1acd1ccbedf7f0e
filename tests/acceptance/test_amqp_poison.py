"""Properties that break an AMQP client's decoders harm nobody: neither the message itself nor its neighbours."""

import struct
from typing import cast
from uuid import uuid4

import aiormq
import pytest
from pamqp import commands

from contracts.envelope import Command
from tests.harness.commands import create
from tests.harness.ledger import announced, everything_heard
from tests.harness.stage import Stage
from tests.harness.wire import COMMANDS, Wire, reason_of
from tests.harness.workers import tidy_worker

_CONTENT_TYPE, _HEADERS, _DELIVERY_MODE, _CORRELATION_ID, _TIMESTAMP, _MESSAGE_ID, _APP_ID = 15, 13, 12, 10, 6, 7, 3


def _short(value: bytes) -> bytes:
    return bytes([len(value)]) + value


def _nested(levels: int) -> bytes:
    value = b"V"
    for _ in range(levels):
        table = b"\1k" + value
        value = b"F" + struct.pack(">I", len(table)) + table
    return value


POISON: dict[str, dict[int, bytes]] = {
    "a correlation id that is no text": {_CORRELATION_ID: _short(b"\xff\xfe")},
    "a timestamp after the end of time": {_TIMESTAMP: struct.pack(">Q", 2**63 - 1)},
    "a content type that is no text": {_CONTENT_TYPE: _short(b"application/json\xff")},
    "an app id that is no text": {_APP_ID: _short(b"\xff" * 255)},
    "a header name that is no text": {_HEADERS: struct.pack(">I", 4) + b"\2\xff\xfeV"},
}
# Without a content type that can be read it is no command of ours.
DEAD_LETTERED = {"a content type that is no text"}


class _Text(str):
    """Text that goes out as other bytes than it shows."""

    __slots__ = ("raw",)
    raw: bytes

    def encode(self, *_: str) -> bytes:
        return self.raw


def _properties(poison: dict[int, bytes]) -> commands.Basic.Properties:
    fields = {_DELIVERY_MODE: b"\2", _MESSAGE_ID: _short(str(uuid4()).encode()), **poison}
    raw = struct.pack(">H", sum(1 << bit for bit in fields)) + b"".join(fields[bit] for bit in sorted(fields)[::-1])

    class Raw(commands.Basic.Properties):
        def marshal(self) -> bytes:
            return raw

    return Raw()


async def _send(
    wire: Wire, command: Command, poison: dict[int, bytes], *, key: str | None = None, body: bytes | None = None
) -> None:
    channel = cast("aiormq.Channel", await wire.channel.get_underlay_channel())
    await channel.basic_publish(
        body or command.to_json(),
        exchange=COMMANDS,
        routing_key=key or command.routing_key,
        properties=_properties(poison),
    )


async def test_300_good_commands_around_5_poisonous_ones_are_all_applied(stage: Stage, wire: Wire) -> None:
    good = [create(name=f"Good {number}") for number in range(300)]
    poisonous = {name: create(name=name) for name in POISON}
    for number, command in enumerate(good):
        await wire.send(command)
        if number % 60 == 30:
            name = list(POISON)[number // 60]
            await _send(wire, poisonous[name], POISON[name])
    async with tidy_worker(stage, worker_id="steady") as worker:
        await announced(wire, [*good, *poisonous.values()])
        assert worker.gate.closed_because is None
    ledger = await everything_heard(wire)
    ledger.assert_one_event_each([*good, *poisonous.values()])
    kinds = {event["causationid"]: event["type"] for event in ledger.first}
    assert {kinds[command.id] for command in good} == {"hero.created"}
    for name, command in poisonous.items():
        expected = "hero.command_dead_lettered" if name in DEAD_LETTERED else "hero.created"
        assert kinds[command.id] == expected, name
    assert {reason_of(letter) for letter in wire.letters} == {"invalid_command"}


async def test_a_routing_key_that_is_no_text_is_a_key_that_is_no_slot(stage: Stage, wire: Wire) -> None:
    key = _Text("??")
    key.raw = b"\xff\xfe"
    command = create()
    async with tidy_worker(stage):
        await _send(wire, command, {}, key=key)
        assert (await wire.events_of(command.id))[0]["type"] == "hero.created"


@pytest.mark.parametrize("body", [b"no command", None], ids=["no command", "a command"])
async def test_headers_too_deep_to_be_read_keep_neither_a_command_nor_a_letter_from_its_way(
    stage: Stage, wire: Wire, body: bytes | None
) -> None:
    command = create()
    deep = b"\4deep" + _nested(1500)
    async with tidy_worker(stage):
        await _send(wire, command, {_HEADERS: struct.pack(">I", len(deep)) + deep}, body=body)
        if body:
            (letter,) = await wire.letters_with(body)
            assert reason_of(letter) == "invalid_command"
        else:
            assert (await wire.events_of(command.id))[0]["type"] == "hero.created"
