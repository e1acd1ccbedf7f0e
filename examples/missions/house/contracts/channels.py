"""The names on the wire: exchanges, queues, the events every worker has, and the slot that keeps order.

Publishers in other languages compute the same slots: a change of `slot` or `SLOTS` breaks every one of them.
"""

from zlib import crc32

SLOTS = 16

COMMANDS = "missions.commands"
UNSLOTTED = "missions.commands.unslotted"
EVENTS = "missions.events"
EVENT_LOG = "missions.events.log"
QUERIES = "missions.queries"
DEAD_LETTERS = "missions.dead_letters"

# Only queues that exist to take replies: a sender must not make the worker write into anybody's queue.
REPLY_TO_PATTERN = r"(amq\.gen-|amq\.rabbitmq\.reply-to\.|missions\.replies\.)[A-Za-z0-9._=+/-]{1,200}"

QUERY_TYPES: tuple[str, ...] = ()  # missions are not asked for
COMMAND_REJECTED = "mission.command_rejected"
QUERY_FAILED = "mission.query_failed"
COMMAND_DEAD_LETTERED = "mission.command_dead_lettered"


def slot(ordering_key: str) -> str:
    """The routing key for a command: CRC-32 (as in zlib) of the key's ASCII form, modulo 16, as two digits."""
    return f"{crc32(ordering_key.encode('ascii')) % SLOTS:02d}"


def command_queues() -> tuple[str, ...]:
    """Every queue that holds commands: one for each slot, and one for commands whose routing key is no slot."""
    return (*(f"{COMMANDS}.{number:02d}" for number in range(SLOTS)), UNSLOTTED)
