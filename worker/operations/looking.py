"""One look at everything that queues: the broker's queues, its management API where there is one, and the inbox.

Whatever can't be seen gets a word in its place; only a broker that does not answer is an error.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from contracts.channels import DEAD_LETTERS, EVENT_LOG, QUERIES, command_queues
from worker.errors import ExitCode, RefuseToStartError
from worker.messaging.connection import connected
from worker.messaging.depths import MISSING, Depth, depths
from worker.messaging.management import Detail, details
from worker.persistence.backlog import Backlog, backlog
from worker.persistence.database import Database
from worker.persistence.replays import asked

_WITHIN_SECONDS = 5
_STATEMENT_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Places:
    """Where to look; what is None is not looked at."""

    rabbitmq_url: str
    management_url: str | None
    database_url: str | None


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one moment; `notes` are the words for what was not."""

    depths: tuple[Depth, ...]
    details: Mapping[str, Detail]
    unpublished: Backlog | None
    notes: tuple[str, ...]
    exit_code: ExitCode

    @property
    def dead_letters(self) -> int | None:
        """How many wait for a person."""
        return next((depth.ready for depth in self.depths if depth.queue == DEAD_LETTERS), None)

    def detail(self, queue: str) -> Detail:
        """What the management API told of it."""
        return self.details.get(queue, Detail())

    def document(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            "queues": [asdict(depth) | asdict(self.detail(depth.queue)) for depth in self.depths],
            "dead_letters": self.dead_letters,
            "unpublished": asdict(self.unpublished) if self.unpublished else None,
            "notes": list(self.notes),
        }


async def look(places: Places) -> Look:
    """How it stands now.

    Raises:
        RefuseToStartError: the broker does not answer, or refuses.
    """
    names = (*command_queues(), QUERIES, DEAD_LETTERS, EVENT_LOG)
    async with connected(places.rabbitmq_url, within_seconds=_WITHIN_SECONDS) as connection:
        seen = await depths(connection, names)
    told = await details(places.management_url, places.rabbitmq_url) if places.management_url else {}
    owed, word, away = await _owed(places.database_url)
    missing = any(depth.word == MISSING and depth.queue != EVENT_LOG for depth in seen)  # that one may be turned off
    return Look(
        depths=tuple(seen),
        details={} if isinstance(told, str) else told,
        unpublished=owed,
        notes=tuple(note for note in (told, word) if isinstance(note, str) and note),
        exit_code=ExitCode.UNPREPARED if missing else away,
    )


async def _owed(database_url: str | None) -> tuple[Backlog | None, str, ExitCode]:
    if not database_url:
        return None, "HEROES_DATABASE_URL is not set: unpublished rows were not counted", ExitCode.DONE
    database = Database.of(database_url, pool_size=1, statement_timeout_seconds=_STATEMENT_SECONDS)
    try:
        async with asked(database.sessions) as session:
            return await backlog(session), "", ExitCode.DONE
    except RefuseToStartError as error:
        return None, f"unpublished rows were not counted: {error}", error.exit_code
    finally:
        await database.close()
