"""Many hero operations in one command: all of them, or none. Replace me for another entity, or leave me out.

A batch goes by its own id: its order with other commands holds within its own slot only, and `expected_version` guards
what must not be changed meanwhile.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field
from typing_extensions import override

from contracts.envelope import Command, Data, Reply
from contracts.heroes import AnyEvent, CreateHeroData, DeleteHeroData, UpdateHeroData


class CreateOperation(CreateHeroData):
    """One creation in a batch."""

    op: Literal["create"]


class UpdateOperation(UpdateHeroData):
    """One update in a batch."""

    op: Literal["update"]


class DeleteOperation(DeleteHeroData):
    """One deletion in a batch."""

    op: Literal["delete"]


Operation = Annotated[CreateOperation | UpdateOperation | DeleteOperation, Field(discriminator="op")]


class BatchHeroesData(Data):
    """Up to 1 000 operations, one after the other, all or none of them."""

    operations: Annotated[tuple[Operation, ...], Field(min_length=1, max_length=1000, strict=False)]


class BatchHeroes(Command):
    """Asks for many changes in one transaction. Its order with other commands holds within its own slot only."""

    reply_type: ClassVar[str | None] = "hero.batch.reply"

    type: Literal["hero.batch"]
    data: BatchHeroesData

    @property
    @override
    def ordering_keys(self) -> tuple[str, ...]:
        """Its own, and every hero's."""
        heroes = {one.hero_id for one in self.data.operations if not isinstance(one, CreateOperation)}
        return (self.id, *(str(hero_id) for hero_id in sorted(heroes)))


class BatchReplyData(Data):
    """What became of each operation, in order."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    events: tuple[AnyEvent, ...]


class BatchReply(Reply):
    """Answers a batch that was applied."""

    type: Literal["hero.batch.reply"]
    data: BatchReplyData
