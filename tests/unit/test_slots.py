"""A publisher in any language works out the same slot and finds the same names on the wire."""

import pytest

from contracts import channels
from contracts.channels import SLOTS, UNSLOTTED, command_queues, slot
from contracts.envelope import Command
from tests.harness.commands import ID, create, delete, update

# Worked out with another CRC-32 than the one under test; docs/wire.md quotes this table.
SLOT_VECTORS = (
    ("1", "07"),  # crc32 83dcefb7
    ("2", "13"),  # 1ad5be0d
    ("3", "11"),  # 6dd28e9b
    ("7", "02"),  # 6abf4a82
    ("10", "01"),  # a15d25e1
    ("42", "08"),  # 3224b088
    ("99", "13"),  # 1058174d
    ("100", "10"),  # 237750ea
    ("1000", "07"),  # b427a317
    ("65535", "00"),  # afce34c0
    ("123456789", "06"),  # cbf43926, the check value of CRC-32 itself
    ("2147483647", "00"),  # 15d006d0
    ("2147483648", "01"),  # 856f1b41
    ("4294967296", "01"),  # c2c299f1
    ("9223372036854775806", "08"),  # 35ed3a48
    ("9223372036854775807", "14"),  # 42ea0ade
    ("00000000-0000-0000-0000-000000000000", "09"),  # 8151da89
    ("3f2b8c1e-9d4a-4c6b-8e7f-0a1b2c3d4e5f", "05"),  # a16bd7e5
    ("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "06"),  # 51509e86
    ("ffffffff-ffff-ffff-ffff-ffffffffffff", "15"),  # 5289e08f
)


@pytest.mark.parametrize(("key", "expected"), SLOT_VECTORS)
def test_a_slot_is_what_publishers_in_other_languages_work_out(key: str, expected: str) -> None:
    assert slot(key) == expected


def test_every_slot_gets_a_fair_share_of_heroes() -> None:
    counts = {f"{number:02d}": 0 for number in range(SLOTS)}
    for hero_id in range(1, 16_001):
        counts[slot(str(hero_id))] += 1
    assert min(counts.values()) > 900
    assert max(counts.values()) < 1100


def test_every_slot_has_a_queue_and_strangers_have_theirs() -> None:
    queues = command_queues()
    assert queues == (*(f"heroes.commands.{number:02d}" for number in range(16)), "heroes.commands.unslotted")
    assert UNSLOTTED in queues


def test_the_names_on_the_wire_are_these() -> None:
    """Publishers, consumers and permissions rely on them."""
    names = (channels.COMMANDS, channels.EVENTS, channels.EVENT_LOG, channels.QUERIES, channels.DEAD_LETTERS)
    assert names == ("heroes.commands", "heroes.events", "heroes.events.log", "heroes.queries", "heroes.dead_letters")


@pytest.mark.parametrize(
    ("command", "key", "routing_key"),
    [
        (create(id=ID), ID, "05"),
        (update(42, {"age": 1}, id=ID), "42", "08"),
        (delete(2**63 - 1, id=ID), "9223372036854775807", "14"),
    ],
)
def test_a_command_goes_to_the_slot_of_what_it_must_keep_its_order_with(
    command: Command, key: str, routing_key: str
) -> None:
    """A hero's updates and deletes meet in one queue; a create has only its own id."""
    assert (command.ordering_key, command.routing_key) == (key, routing_key)
