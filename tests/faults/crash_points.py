"""Inside a worker that is to die: the windows of a command's life, and how the process kills itself in one of them.

The product has no hooks for this: its functions are wrapped from the outside, in this process only.
"""

import asyncio
import json
import os
import signal
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import IntEnum
from multiprocessing.connection import Connection
from typing import Any, NoReturn
from unittest.mock import patch

import uvloop

import worker.app
from contracts.envelope import Command
from tests.harness.stage import Stage
from worker.messaging.decode import Undecodable
from worker.messaging.delivery import Delivery
from worker.messaging.intake import Intake
from worker.messaging.publisher import EventPublisher
from worker.messaging.settlement import Settlement
from worker.outcomes import Outcome
from worker.persistence import inbox

_SETTINGS = {"sweep_after_seconds": 2, "shutdown_timeout_seconds": 5, "log_level": "WARNING"}
_INSIDE = "SELECT pg_current_xact_id_if_assigned()::text, (SELECT outcome FROM inbox WHERE command_id = $1)"


class Window(IntEnum):
    """Where a worker dies; the number says how many steps of the command are done by then."""

    BEFORE_CLAIM = 0
    BEFORE_APPLY = 1
    BEFORE_COMMIT = 2
    BEFORE_PUBLISH = 3
    BEFORE_ACK = 4
    BEFORE_MARK = 5

    @property
    def label(self) -> str:
        return self.name.lower().replace("_", " ")


# The function of the product that stands beside each window, and whether the window comes after it.
_BESIDE: dict[Window, tuple[Any, str, bool]] = {
    Window.BEFORE_CLAIM: (inbox, "claim", False),
    Window.BEFORE_APPLY: (inbox, "claim", True),
    Window.BEFORE_COMMIT: (inbox, "record", True),
    Window.BEFORE_PUBLISH: (EventPublisher, "publish", False),
    Window.BEFORE_ACK: (EventPublisher, "publish", True),
    Window.BEFORE_MARK: (Settlement, "ack", True),
}


@dataclass(frozen=True, slots=True)
class Death:
    """The last words: whose command it was, and what its open transaction had written until then."""

    command_id: str
    transaction: str | None
    outcome: str | None


@dataclass(slots=True)
class _Doom:
    """Inside the process: dies at the nth of the victims that reach the window."""

    window: Window
    parent: Connection
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    victims: set[str] = field(default_factory=set)
    nth: int = 0
    struck: bool = False

    def obey(self) -> None:
        """An order from the parent: the victims, or to leave. Without a parent there is nothing to stay for."""
        try:
            order = self.parent.recv()
        except EOFError:
            os._exit(1)
        if order is None:
            self.leaving.set()
        else:
            self.victims, self.nth = order

    def strikes(self, command_id: str) -> bool:
        if self.struck or command_id not in self.victims:
            return False
        self.victims.discard(command_id)
        self.nth -= 1
        self.struck = self.nth == 0
        return self.struck

    async def die(self, command_id: str, subject: Any, resource: Any) -> NoReturn:
        if self.window is Window.BEFORE_MARK:  # the broker answers on this channel when it has read the ack
            await resource.tell()
            await subject.channel.queue_declare(f"heroes.commands.{subject.routing_key}", passive=True)
        self.end(Death(command_id, None, None))

    def end(self, death: Death) -> NoReturn:
        self.parent.send(death)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("outlived SIGKILL")

    def wrap(self, patches: ExitStack) -> None:
        """Deliveries and acks are told to the parent, and the window is where the process dies."""
        arrive, ack, mark = Intake.arrive, Settlement.ack, inbox.mark_published
        owner, name, after = _BESIDE[self.window]

        def arriving(*arguments: Any) -> Delivery:
            delivery = arrive(*arguments)
            self.parent.send(("arrived", _id_of(delivery.content), delivery.message.headers.get("x-delivery-count", 0)))
            return delivery

        async def acking(settlement: Settlement, message: Any) -> None:
            self.parent.send(("acked", _id_of(message), 0))  # before: what the parent takes for unacknowledged is so
            await ack(settlement, message)

        async def marking(*arguments: Any) -> None:
            if self.struck:  # the mark would close the window
                await asyncio.Event().wait()
            await mark(*arguments)

        for target, attribute, wrapper in (
            (Intake, "arrive", arriving),
            (Settlement, "ack", acking),
            (inbox, "mark_published", marking),
        ):
            patches.enter_context(patch.object(target, attribute, wrapper))
        original = getattr(owner, name)

        async def dying(resource: Any, subject: Any) -> Any:
            command_id = _id_of(subject)
            struck = self.strikes(command_id)
            result = await original(resource, subject) if after or not struck else None
            if struck:
                await self.die(command_id, subject, resource)
            return result

        async def dying_in_the_transaction(driver: Any, subject: Any) -> Any:
            command_id = _id_of(subject)
            struck = self.strikes(command_id)
            result = await original(driver, subject) if after or not struck else None
            if struck:
                transaction, outcome = await driver.fetchrow(_INSIDE, command_id)
                self.end(Death(command_id, transaction, outcome))
            return result

        patches.enter_context(patch.object(owner, name, dying_in_the_transaction if owner is inbox else dying))


def _id_of(subject: Any) -> str:
    """The id of the command that this command, outcome, row of events or message is about."""
    if isinstance(subject, Command | Undecodable):
        return str(getattr(subject, "id", ""))
    if isinstance(subject, Outcome):
        return subject.command_id or ""
    return str(json.loads(subject.body)["id"] if hasattr(subject, "body") else subject[0].envelope["causationid"])


def work(stage: Stage, window: Window, parent: Connection) -> None:
    """The whole life of the process: a worker like any other, until it is told to leave or meets its window."""
    uvloop.run(_until_told(stage, window, parent))


async def _until_told(stage: Stage, window: Window, parent: Connection) -> None:
    doom = _Doom(window, parent)
    asyncio.get_running_loop().add_reader(parent.fileno(), doom.obey)
    with ExitStack() as patches:
        doom.wrap(patches)
        async with worker.app.running_worker(stage.settings(**_SETTINGS)):
            parent.send(("ready", worker.app.__file__, 0))
            await doom.leaving.wait()
