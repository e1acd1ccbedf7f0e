"""Reads what the AMQP client can't: properties that break its decoders would otherwise end the whole connection.

A message is data from somebody else: whatever stands in its properties, reading them never raises, so the message goes
the way of any other, and its neighbours never notice.
"""

import struct
from contextlib import suppress
from datetime import datetime
from typing import Any

from pamqp import base, commands, decode

_UNREADABLE = (ValueError, TypeError, ArithmeticError, LookupError, OSError, RecursionError, struct.error)
_LONGEST_SHORT_STRING_BYTES = 255
_DELIVERY_MODES = (1, 2)


def install() -> None:
    """Every connection of this process reads leniently from now on. May be called twice."""
    decode.METHODS |= {"shortstr": short_string, "timestamp": timestamp, "table": field_table}
    decode.TABLE_MAPPING |= {b"T": timestamp, b"F": field_table}
    commands.Basic.Properties.unmarshal = _unmarshal  # type: ignore[assignment]  # the one way in


def short_string(value: bytes) -> tuple[int, str]:
    """Bytes that are no UTF-8 are written out as `\\xff`, and still fit where they came from."""
    end = value[0] + 1
    text = value[1:end]
    try:
        return end, text.decode()
    except UnicodeDecodeError:
        shown = text.decode(errors="backslashreplace").encode()[:_LONGEST_SHORT_STRING_BYTES]
        return end, shown.decode(errors="ignore")


def timestamp(value: bytes) -> tuple[int, datetime | None]:
    """None for a moment that Python can't tell."""
    try:
        return decode.timestamp(value)
    except _UNREADABLE:
        return 8, None


def field_table(value: bytes) -> tuple[int, dict[str, Any]]:
    """Whatever can be read, up to the first field that can't: nobody knows where the next one begins."""
    end = 4 + int.from_bytes(value[:4])
    table: dict[str, Any] = {}
    offset = 4
    while offset < end:
        try:
            key_bytes, key = short_string(value[offset:end])
            value_bytes, table[key] = decode.embedded_value(value[offset + key_bytes : end])
        except _UNREADABLE:
            break
        offset += key_bytes + value_bytes
    return end, table


def _unmarshal(properties: commands.Basic.Properties, flags: int, data: bytes) -> None:
    """Sets what can be read; the rest stays as if the publisher had not set it."""
    with suppress(*_UNREADABLE):
        base.BasicProperties.unmarshal(properties, flags, data)
    # The client makes an enumeration of the one and a number of the other, and raises where it can't.
    if properties.delivery_mode not in _DELIVERY_MODES:
        properties.delivery_mode = None
    if properties.expiration is not None and not properties.expiration.isdecimal():
        properties.expiration = None
