"""The page groups dead letters, and shows only commands that our program takes and that a shell reads as they stand."""

import re
import shlex

import pytest
from typer.testing import CliRunner

from tests.harness.drawn import page_of
from tests.harness.facts import HOSTILE, calm, recent
from worker.cli import app
from worker.ops.letters import grouped
from worker.outcomes import Letter, Reason, Traits


def test_each_group_of_letters_has_the_commands_that_handle_it() -> None:
    bug = Letter(Reason.HANDLER_FAILED, "the handler raised KeyError")
    letters = [(Traits(f"id-{number}", "hero.create"), bug) for number in range(5)]
    wrong = (Traits(None, None), Letter(Reason.INVALID_COMMAND, "Invalid JSON"))
    failed, invalid = reversed(grouped(recent(*letters, wrong)).groups)
    assert (failed.count, failed.ids) == (5, ("id-4", "id-3", "id-2"))
    assert [command for _, command in failed.commands] == [
        "heroes dead-letters list --ids --reason handler_failed --type hero.create",
        "heroes dead-letters show id-4",
        "heroes dead-letters show id-3",
        "heroes dead-letters show id-2",
        "heroes dead-letters replay --reason handler_failed --type hero.create --dry-run",
    ]
    assert [command for _, command in invalid.commands] == [
        "heroes dead-letters list --ids --reason invalid_command --type unknown"
    ]


def taken_by_our_program(command: str) -> bool:
    """It knows this command and all of its options; asked for help, it does nothing."""
    return CliRunner().invoke(app, [*shlex.split(command)[1:], "--help"]).exit_code == 0


def test_every_command_that_it_shows_is_one_that_our_program_takes() -> None:
    letters = [(Traits("id-1", "hero.create"), Letter(reason, "so it is")) for reason in Reason]
    groups = grouped(recent(*letters, (Traits("id-1", None), Letter("delivery_limit", "")))).groups
    shown = {command for group in groups for _, command in group.commands}
    shown |= set(re.findall(r"<code[^>]*>(heroes [^<]+)</code>", page_of(calm()).body.decode()))
    assert len(shown) > len(Reason)
    assert all(map(taken_by_our_program, shown))


def test_what_our_program_does_not_take_is_seen() -> None:
    assert not taken_by_our_program("heroes dead-letters replay --nonsense")
    assert not taken_by_our_program("heroes nothing")


@pytest.mark.parametrize("said", [HOSTILE, "--all", "a b", "a;reboot", "a\nb", "$(a)", "é", "a'b", "", "x" * 101])
def test_nothing_that_a_shell_or_our_program_would_read_differently_comes_into_a_command(said: str) -> None:
    for traits, reason in ((Traits(said, said), Reason.UNKNOWN_TYPE), (Traits("id", "type"), said)):
        (group,) = grouped(recent((traits, Letter(reason, "")))).groups
        for _, command in group.commands:
            assert said == "" or said not in command
            assert " ".join(shlex.split(command)) == command


def test_only_the_groups_in_which_something_came_last_are_shown_and_the_rest_is_counted() -> None:
    letters = [(Traits(None, f"type-{number}"), Letter("unknown_type", "")) for number in range(500)]
    found = grouped(recent(*letters))
    assert [group.type for group in found.groups] == [f"type-{number}" for number in range(499, 491, -1)]
    assert (found.seen, found.others) == (200, 192)
