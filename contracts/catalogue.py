"""Every type of message there is, of which kind it is, and what answers it. Replace me for another entity.

The contract files are made from this list: a type that is missing here is promised to nobody.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import get_args

from contracts.batch import BatchHeroes, BatchReply
from contracts.envelope import Envelope
from contracts.heroes import (
    CommandDeadLettered,
    CommandRejected,
    CreateHero,
    DeleteHero,
    HeroCreated,
    HeroDeleted,
    HeroUpdated,
    UpdateHero,
)
from contracts.queries import GetHero, GetHeroReply, ListHeroes, ListHeroesReply, QueryFailed


class Kind(StrEnum):
    """What a message is for; it decides the channel."""

    COMMAND = "command"
    QUERY = "query"
    EVENT = "event"
    REPLY = "reply"


@dataclass(frozen=True, slots=True)
class MessageType:
    """One type; `answers` may come to the queue that a command or query names in `reply_to`."""

    kind: Kind
    model: type[Envelope]
    answers: tuple[type[Envelope], ...] = ()

    @property
    def name(self) -> str:
        """As it stands in the attribute `type`."""
        return name_of(self.model)


def name_of(model: type[Envelope]) -> str:
    """The one value that the model's `type` can have."""
    name: str
    (name,) = get_args(model.model_fields["type"].annotation)
    return name


_SAID_NO = (CommandRejected, CommandDeadLettered)

TYPES: tuple[MessageType, ...] = (
    MessageType(Kind.COMMAND, CreateHero, (HeroCreated, *_SAID_NO)),
    MessageType(Kind.COMMAND, UpdateHero, (HeroUpdated, *_SAID_NO)),
    MessageType(Kind.COMMAND, DeleteHero, (HeroDeleted, *_SAID_NO)),
    MessageType(Kind.COMMAND, BatchHeroes, (BatchReply, *_SAID_NO)),
    MessageType(Kind.EVENT, HeroCreated),
    MessageType(Kind.EVENT, HeroUpdated),
    MessageType(Kind.EVENT, HeroDeleted),
    MessageType(Kind.EVENT, CommandRejected),
    MessageType(Kind.EVENT, CommandDeadLettered),
    MessageType(Kind.QUERY, GetHero, (GetHeroReply, QueryFailed)),
    MessageType(Kind.QUERY, ListHeroes, (ListHeroesReply, QueryFailed)),
    MessageType(Kind.REPLY, BatchReply),
    MessageType(Kind.REPLY, GetHeroReply),
    MessageType(Kind.REPLY, ListHeroesReply),
    MessageType(Kind.REPLY, QueryFailed),
)
