"""Whatever bytes stand in a message's properties, the worker reads what can be read and never raises."""

import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from aio_pika import DeliveryMode, IncomingMessage
from aiormq.abc import DeliveredMessage
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, encode
from pamqp.header import ContentHeader

from worker.messaging import guard

CONTENT_TYPE, HEADERS, DELIVERY_MODE, CORRELATION_ID, EXPIRATION, TIMESTAMP = 15, 13, 12, 10, 8, 6
NESTED = 2000


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    """As in a worker."""
    guard.install()


def _read(*fields: tuple[int, bytes]) -> commands.Basic.Properties:
    flags = sum(1 << bit for bit, _ in fields)
    header = ContentHeader()
    header.unmarshal(struct.pack(">HHQH", 60, 0, 0, flags) + b"".join(value for _, value in fields))
    return header.properties


def _short(value: bytes) -> bytes:
    return bytes([len(value)]) + value


def _table(*entries: bytes) -> bytes:
    return struct.pack(">I", len(b"".join(entries))) + b"".join(entries)


def _entry(key: bytes, value: bytes) -> bytes:
    return _short(key) + value


def _arrived(properties: commands.Basic.Properties) -> IncomingMessage:
    header = ContentHeader(0, 0, properties)
    delivery = commands.Basic.Deliver("tag", 1, False, "exchange", "key")
    channel: Any = None
    return IncomingMessage(DeliveredMessage(delivery=delivery, header=header, body=b"", channel=channel))


def test_what_is_right_is_read_as_before() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    headers: dict[str, Any] = {"a": 1, "b": "ü", "c": {"d": [True, None]}, "e": moment}
    read = _read(
        (CONTENT_TYPE, _short(b"application/json")),
        (HEADERS, encode.field_table(headers)),
        (DELIVERY_MODE, b"\2"),
        (CORRELATION_ID, _short("ü".encode())),
        (TIMESTAMP, struct.pack(">Q", int(moment.timestamp()))),
    )
    assert (read.content_type, read.headers, read.delivery_mode) == ("application/json", headers, 2)
    assert (read.correlation_id, read.timestamp) == ("ü", moment)


@pytest.mark.parametrize("raw", [b"\xff", b"ok \xff", b"\xff" * 255, "ü".encode()[:1]])
def test_a_short_string_that_is_no_text_is_written_out_and_still_fits(raw: bytes) -> None:
    read = _read((CONTENT_TYPE, _short(b"application/json")), (CORRELATION_ID, _short(raw)))
    assert read.content_type == "application/json"
    assert read.correlation_id
    assert "\\x" in read.correlation_id
    assert len(encode.short_string(read.correlation_id)) <= 256


@pytest.mark.parametrize("seconds", [2**63, 2**64 - 1, 253_402_300_800_000])
def test_a_moment_that_can_not_be_told_is_none(seconds: int) -> None:
    read = _read((DELIVERY_MODE, b"\2"), (TIMESTAMP, struct.pack(">Q", seconds)))
    assert (read.delivery_mode, read.timestamp) == (2, None)


def test_of_a_table_everything_before_an_unknown_field_is_kept_and_so_is_what_follows_the_table() -> None:
    broken = _table(
        _entry(b"x-delivery-count", b"I\0\0\0\3"), _entry(b"\xff", b"V"), _entry(b"odd", b"?"), _entry(b"later", b"V")
    )
    read = _read((HEADERS, broken), (CORRELATION_ID, _short(b"behind")))
    assert read.headers == {"x-delivery-count": 3, "\\xff": None}
    assert read.correlation_id == "behind"


def test_tables_in_tables_without_end_are_read_as_far_as_it_goes() -> None:
    nested = b"V"
    for _ in range(NESTED):
        nested = b"F" + _table(_entry(b"k", nested))
    read = _read(
        (HEADERS, _table(_entry(b"first", b"V"), _entry(b"deep", nested))), (CORRELATION_ID, _short(b"behind"))
    )
    assert read.headers
    assert "first" in read.headers
    assert read.correlation_id == "behind"


@pytest.mark.parametrize("mode", [0, 3, 255])
def test_an_unknown_delivery_mode_or_expiration_does_not_keep_the_message_from_arriving(mode: int) -> None:
    properties = _read((DELIVERY_MODE, bytes([mode])), (CORRELATION_ID, _short(b"id")), (EXPIRATION, _short(b"soon")))
    message = _arrived(properties)
    assert message.correlation_id == "id"
    assert message.delivery_mode is DeliveryMode.NOT_PERSISTENT


@given(flags=st.integers(0, 0xFFFF).map(lambda bits: bits & ~1), data=st.binary(max_size=300))
def test_no_bytes_make_it_raise(flags: int, data: bytes) -> None:
    header = ContentHeader()
    header.unmarshal(struct.pack(">HHQH", 60, 0, 0, flags) + data)
    _arrived(header.properties)
