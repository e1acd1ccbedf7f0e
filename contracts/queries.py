"""Hero queries and their replies. Replace me for another entity.

A hero in a reply carries `secret_name`: it goes to the one who asked, and never into an event.
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from contracts.envelope import Data, Query, Reply
from contracts.heroes import Hero, HeroId, Name


class GetHeroData(Data):
    """Which hero."""

    hero_id: HeroId


class ListHeroesData(Data):
    """Which page of all heroes, by id; `name` takes those of exactly that name."""

    offset: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    limit: Annotated[int, Field(ge=1, le=100)] = 100
    name: Name | None = None


class GetHero(Query):
    """Asks for one hero."""

    type: Literal["hero.get"]
    data: GetHeroData


class ListHeroes(Query):
    """Asks for a page of heroes."""

    type: Literal["hero.list"]
    data: ListHeroesData


QUERIES: tuple[type[Query], ...] = (GetHero, ListHeroes)


class KnownHero(Hero):
    """A hero with everything that is known of it."""

    secret_name: Name


class GetHeroReplyData(Data):
    """The hero that was asked for."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    hero: KnownHero


class ListHeroesReplyData(Data):
    """One page, and how many heroes there are on all pages."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    heroes: tuple[KnownHero, ...]
    total: int


class QueryFailedData(Data):
    """Why there is no answer: `code` is for programs, `detail` for people."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    code: str
    detail: str


class GetHeroReply(Reply):
    """Answers `hero.get`."""

    type: Literal["hero.get.reply"]
    data: GetHeroReplyData


class ListHeroesReply(Reply):
    """Answers `hero.list`."""

    type: Literal["hero.list.reply"]
    data: ListHeroesReplyData


class QueryFailed(Reply):
    """Answers a query that can't be answered."""

    type: Literal["hero.query_failed"]
    data: QueryFailedData


AnyReply = Annotated[GetHeroReply | ListHeroesReply | QueryFailed, Field(discriminator="type")]
