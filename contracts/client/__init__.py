"""A typed client: sends commands and waits for what becomes of them, asks queries, follows events. Needs aio-pika.

A command that timed out is unknown, not failed: sending the very same command again, with its id, is always safe.
"""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from pydantic import TypeAdapter

from contracts.batch import BatchHeroes, BatchHeroesData, BatchReply, Operation
from contracts.client.caller import Caller
from contracts.client.errors import (
    ClientError,
    CommandDeadLetteredError,
    CommandRejectedError,
    NotConfirmedError,
    NotPreparedError,
    OutcomeTimeoutError,
    QueryFailedError,
)
from contracts.client.events import Follower
from contracts.envelope import Command, Query
from contracts.heroes import (
    AnyEvent,
    CommandDeadLettered,
    CommandRejected,
    CreateHero,
    CreateHeroData,
    DeleteHero,
    DeleteHeroData,
    HeroChanges,
    HeroCreated,
    HeroDeleted,
    HeroUpdated,
    UpdateHero,
    UpdateHeroData,
)
from contracts.queries import (
    AnyReply,
    GetHero,
    GetHeroData,
    GetHeroReply,
    KnownHero,
    ListHeroes,
    ListHeroesData,
    ListHeroesReply,
    ListHeroesReplyData,
    QueryFailed,
)

__all__ = [
    "ClientError",
    "CommandDeadLetteredError",
    "CommandRejectedError",
    "HeroesClient",
    "NotConfirmedError",
    "NotPreparedError",
    "OutcomeTimeoutError",
    "QueryFailedError",
]

E = TypeVar("E", HeroCreated, HeroUpdated, HeroDeleted, BatchReply)


class HeroesClient:
    """`async with HeroesClient(url, source="/shop") as client`: one connection, any number of calls at once.

    At most `in_flight` of them are under way; the others wait for their turn, and their time begins then.
    """

    def __init__(
        self, url: str, *, source: str = "/heroes-client", timeout_seconds: float = 30, in_flight: int = 1000
    ) -> None:
        self._url = url
        self._source = source
        self._caller = Caller(url, timeout_seconds, in_flight)
        self._outcomes: TypeAdapter[AnyEvent | BatchReply] = TypeAdapter(AnyEvent | BatchReply)
        self._replies: TypeAdapter[AnyReply] = TypeAdapter(AnyReply)

    async def __aenter__(self) -> Self:
        """Connected.

        Raises:
            OSError: the broker can't be reached or refuses the user; mostly a ConnectionError, as most of aiormq's are.
            AMQPError: it refuses the virtual host, in a way that aiormq can't read (RabbitMQ before 4).
        """
        await self._caller.link.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._caller.link.close()

    async def create(self, *, name: str, secret_name: str, age: int | None = None, **envelope: Any) -> HeroCreated:
        """The new hero's event; `envelope` sets attributes like `id` or `expirytime`. Raises: as `call`, and a no."""
        data = CreateHeroData(name=name, secret_name=secret_name, age=age)
        return await self._applied(CreateHero.new(data, source=self._source, **envelope), HeroCreated)

    async def update(
        self, hero_id: int, changes: HeroChanges, *, expected_version: int | None = None, **envelope: Any
    ) -> HeroUpdated:
        """The changed hero's event. Raises: as `create`."""
        data = UpdateHeroData(hero_id=hero_id, changes=changes, **_given(expected_version=expected_version))
        return await self._applied(UpdateHero.new(data, source=self._source, **envelope), HeroUpdated)

    async def delete(self, hero_id: int, *, expected_version: int | None = None, **envelope: Any) -> HeroDeleted:
        """The event that tells the hero as it was last. Raises: as `create`."""
        data = DeleteHeroData(hero_id=hero_id, **_given(expected_version=expected_version))
        return await self._applied(DeleteHero.new(data, source=self._source, **envelope), HeroDeleted)

    async def batch(self, operations: Sequence[Operation], **envelope: Any) -> tuple[AnyEvent, ...]:
        """The events of all operations, in order: all of them took effect, or none. Raises: as `create`."""
        data = BatchHeroesData(operations=tuple(operations))
        reply = await self._applied(BatchHeroes.new(data, source=self._source, **envelope), BatchReply)
        return reply.data.events

    async def send(self, command: Command) -> None:
        """The broker has the command; what becomes of it is told by its event. Raises: NotConfirmedError."""
        await self._caller.send(command)

    async def call(self, command: Command) -> AnyEvent:
        """The event that tells what became of a command: applied, rejected or dead-lettered. (`batch` for batches.)

        Raises:
            NotConfirmedError: the broker may or may not have the command.
            OutcomeTimeoutError: the broker has it, but no outcome came in time.
        """
        outcome = await self._outcome(command)
        return outcome.data.events[0] if isinstance(outcome, BatchReply) else outcome

    async def get(self, hero_id: int) -> KnownHero:
        """The hero. Raises: QueryFailedError."""
        query = GetHero.new(GetHeroData(hero_id=hero_id), source=self._source)
        reply = await self._answer(query)
        if isinstance(reply, GetHeroReply):
            return reply.data.hero
        raise QueryFailedError("invalid_reply", f"a {reply.type} is no answer to {query.type}")

    async def list(self, *, offset: int = 0, limit: int = 100, name: str | None = None) -> ListHeroesReplyData:
        """A page of heroes, by id, and how many there are. Raises: QueryFailedError."""
        query = ListHeroes.new(ListHeroesData(offset=offset, limit=limit, **_given(name=name)), source=self._source)
        reply = await self._answer(query)
        if isinstance(reply, ListHeroesReply):
            return reply.data
        raise QueryFailedError("invalid_reply", f"a {reply.type} is no answer to {query.type}")

    def events(
        self, queue: str | None = None, *, from_: Literal["new", "start"] | datetime = "new", remember: int = 0
    ) -> AsyncGenerator[AnyEvent, None]:
        """Events, each acknowledged when the body of the loop is done with it; see `Follower`."""
        return Follower(self._url, queue, from_, remember).follow()

    async def applied(self, command: Command) -> AnyEvent | BatchReply:
        """What the command made true. Raises: as `call`, and CommandRejectedError, CommandDeadLetteredError."""
        outcome = await self._outcome(command)
        if isinstance(outcome, CommandRejected):
            raise CommandRejectedError(outcome.data.code, outcome.data.detail, outcome.data.operation)
        if isinstance(outcome, CommandDeadLettered):
            raise CommandDeadLetteredError(outcome.data.reason, outcome.data.detail)
        return outcome

    async def _applied(self, command: Command, kind: type[E]) -> E:
        outcome = await self.applied(command)
        if not isinstance(outcome, kind):
            raise ClientError(f"a {outcome.type} is no outcome of {command.type}")
        return outcome

    async def _outcome(self, command: Command) -> AnyEvent | BatchReply:
        return self._outcomes.validate_json(await self._caller.call(command))

    async def _answer(self, query: Query) -> AnyReply:
        reply = self._replies.validate_json(await self._caller.ask(query))
        if isinstance(reply, QueryFailed):
            raise QueryFailedError(reply.data.code, reply.data.detail)
        return reply


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
