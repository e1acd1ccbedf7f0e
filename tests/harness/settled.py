"""A channel that writes down what the broker hears, and deliveries on it."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelInvalidStateError
from pamqp.commands import Basic
from pamqp.header import ContentHeader


@dataclass(slots=True)
class Channel:
    """What the broker heard, as (delivery tag, multiple)."""

    heard: list[tuple[int, bool]] = field(default_factory=list)
    closed: bool = False
    closing: Any = None

    def message(self, tag: int, body: bytes = b"") -> DeliveredMessage:
        """A delivery on this channel."""
        return cast("DeliveredMessage", Message(tag, self, body))

    @property
    def is_closed(self) -> bool:
        """As the client's."""
        return self.closed

    async def basic_ack(self, tag: int, *, multiple: bool, wait: bool) -> None:
        """The broker hears of it, unless the channel is gone."""
        await asyncio.sleep(0)
        assert not wait
        if self.closed:
            raise ChannelInvalidStateError
        self.heard.append((tag, multiple))


@dataclass(frozen=True, slots=True)
class Message:
    """As much of a delivery as is needed to take it in and to settle it."""

    delivery_tag: int
    channel: Channel
    body: bytes
    header: ContentHeader = field(default_factory=lambda: ContentHeader(properties=Basic.Properties()))
    redelivered: bool = False
