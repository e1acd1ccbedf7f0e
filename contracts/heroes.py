"""Hero commands and events: the vocabulary that publishers and consumers share. Replace me for another entity.

`secret_name` stands in commands only, never in an event.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints
from typing_extensions import TypedDict, override

from contracts.envelope import NO_NUL, Command, Data, Event

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NO_NUL)]
Age = Annotated[int, Field(ge=0, le=2**31 - 1)]
HeroId = Annotated[int, Field(ge=1, le=2**63 - 1)]
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]


class CreateHeroData(Data):
    """What a new hero is made of."""

    name: Name
    secret_name: Name
    age: Age | None = None


class HeroChanges(TypedDict, total=False):
    """What an update changes: an absent field stays as it is, and `age: null` clears the age."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]  # pydantic's documented way

    name: Name
    secret_name: Name
    age: Age | None


def _changes_something(changes: HeroChanges) -> HeroChanges:
    if not changes:
        raise ValueError("should hold at least one of name, secret_name, age")
    return changes


class UpdateHeroData(Data):
    """Which hero to change, how, and optionally the version that it must still have."""

    hero_id: HeroId
    changes: Annotated[HeroChanges, AfterValidator(_changes_something), Field(json_schema_extra={"minProperties": 1})]
    expected_version: Version | None = None


class DeleteHeroData(Data):
    """Which hero to delete, and optionally the version that it must still have."""

    hero_id: HeroId
    expected_version: Version | None = None


class CreateHero(Command):
    """Asks for a new hero; its id comes back in the event."""

    type: Literal["hero.create"]
    data: CreateHeroData


class UpdateHero(Command):
    """Asks for a change of one hero."""

    type: Literal["hero.update"]
    data: UpdateHeroData

    @property
    @override
    def ordering_key(self) -> str:
        return str(self.data.hero_id)


class DeleteHero(Command):
    """Asks for the end of one hero."""

    type: Literal["hero.delete"]
    data: DeleteHeroData

    @property
    @override
    def ordering_key(self) -> str:
        return str(self.data.hero_id)


COMMANDS: tuple[type[Command], ...] = (CreateHero, UpdateHero, DeleteHero)


class Hero(Data):
    """A hero as others may see it. `version` grows by one at each create and update: drop what is older than yours."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: HeroId
    name: Name
    age: Age | None
    version: Version
    created_at: datetime
    updated_at: datetime


class HeroData(Data):
    """The hero after the change; for a deletion, as it was last."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    hero: Hero


class UpdatedHeroData(HeroData):
    """The hero after the change and the names of the fields that were sent, changed or not."""

    changed: tuple[str, ...]


class CommandRejectedData(Data):
    """A business no: nothing was changed. `code` is for programs, `detail` for people."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    command_type: str
    code: str
    detail: str
    operation: int | None = None
    """Of a batch, which of its operations; the first is 0."""


class CommandDeadLetteredData(Data):
    """A command that could not be applied stands in the dead-letter queue for a person. Nothing was changed."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    command_type: str | None = None
    reason: str
    detail: str


class HeroCreated(Event):
    """A hero came to be."""

    type: Literal["hero.created"]
    data: HeroData


class HeroUpdated(Event):
    """A hero changed; every applied update is one, even to the same values."""

    type: Literal["hero.updated"]
    data: UpdatedHeroData


class HeroDeleted(Event):
    """A hero is gone."""

    type: Literal["hero.deleted"]
    data: HeroData


class CommandRejected(Event):
    """The worker understood a command and said no."""

    type: Literal["hero.command_rejected"]
    data: CommandRejectedData


class CommandDeadLettered(Event):
    """The worker set a command aside."""

    type: Literal["hero.command_dead_lettered"]
    data: CommandDeadLetteredData


AnyEvent = Annotated[
    HeroCreated | HeroUpdated | HeroDeleted | CommandRejected | CommandDeadLettered, Field(discriminator="type")
]
