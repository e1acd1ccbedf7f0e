"""The bytes that go out: an envelope is written once, and the same envelope always gives the same bytes.

That holds for one that comes out of the database, too: a repeated event is the same event.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

SOURCE = "/heroes-worker"

DOCUMENT_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z


@dataclass(frozen=True, slots=True)
class EventDocument:
    """One envelope and the bytes that are published of it."""

    envelope: Mapping[str, Any]
    body: bytes

    @classmethod
    def of(cls, envelope: Mapping[str, Any]) -> "EventDocument":
        """The document of this envelope."""
        return cls(envelope, orjson.dumps(envelope, option=DOCUMENT_OPTIONS))
