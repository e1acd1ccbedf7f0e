"""Which command queues a worker process consumes first, so that the processes of one `heroes worker` share them out.

Where the broker ignores consumer priorities (RabbitMQ 3.10), a queue belongs to whoever came first: so a process leaves
the share of the others alone until they have had time to come. No queue waits longer for a process that does not.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from math import inf

from contracts.channels import command_queues

_SECONDS_FOR_EACH = 2.0  # starting takes so much of a core, and they may have to share one


@dataclass(slots=True)
class Share:
    """Every `parts`th command queue from the `part`th on, which counts from 0; by default all of them."""

    part: int = 0
    parts: int = 1
    _others_given_time_since: float = field(default=-inf, init=False)

    def includes(self, queue: str) -> bool:
        """It is its own; so is what many consume at the same time, as queries are."""
        queues = command_queues()
        parts = min(self.parts, len(queues))  # with more processes than queues, some have the same one
        return queue not in queues or queues.index(queue) % parts == self.part % parts

    def is_due(self, queue: str) -> bool:
        """It should consume this queue by now."""
        given_seconds = asyncio.get_running_loop().time() - self._others_given_time_since
        return self.parts == 1 or self.includes(queue) or given_seconds >= self.parts * _SECONDS_FOR_EACH

    def taken_up(self, unattached: Collection[str]) -> list[str]:
        """Of the queues without its consumer those that it takes up now: its own; all, when others have had time."""
        if not any(self.includes(queue) for queue in command_queues() if queue not in unattached):
            # It has just started, or was cut off like the others, or is so still: their time begins anew.
            self._others_given_time_since = asyncio.get_running_loop().time()
        return [queue for queue in unattached if self.is_due(queue)]
