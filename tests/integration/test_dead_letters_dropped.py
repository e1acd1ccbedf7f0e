"""`heroes dead-letters drop`: what is gone stands in a log, without its body."""

from hashlib import sha256
from pathlib import Path

from tests.harness.commands import create, update
from tests.harness.failing import DROP, SECRET
from tests.harness.letters import Pigeonhole, lines
from tests.harness.press import DONE, REFUSED, USAGE, Press
from tests.harness.stage import Stage


async def test_a_letter_whose_line_can_not_be_written_stays(press: Press, hole: Pigeonhole, stage: Stage) -> None:
    """/dev/full takes no byte, like a disk that is full."""
    await hole.put_command(create())
    environment = {"HEROES_RABBITMQ_URL": stage.rabbitmq_url}
    ended = await press.run(environment, *DROP, "--all", "--yes", "--why", "nobody wants it", "--log", "/dev/full")
    ended.ends(USAGE, "--log /dev/full can't be written: No space left on device")
    await hole.holds(1)


async def test_dropped_letters_are_written_down_without_their_bodies(
    press: Press, stage: Stage, hole: Pigeonhole, tmp_path: Path
) -> None:
    environment, log = {"HEROES_RABBITMQ_URL": stage.rabbitmq_url}, tmp_path / "dropped.jsonl"
    one, other, kept = create("One", SECRET), create("Other", SECRET), update(7, {"age": 3})
    for command in (one, other, kept):
        await hole.put_command(command)
    options = ("--why", "sent by mistake", "--log", str(log))
    await_yes = await press.run(environment, *DROP, "--type", "hero.create", *options)
    await_yes.ends(USAGE, "more than one letter would be dropped", "--yes")
    assert log.read_text() == ""
    (await press.run(environment, *DROP, one.id, *options)).ends(DONE, "1 dropped")
    (await press.run(environment, *DROP, one.id, *options)).ends(REFUSED, "no dead letter is called")
    crash = "from worker.messaging.letterbox import Letterbox as B; B.remove = lambda *_: os._exit(99)"
    assert (await press.run(environment, *DROP, "--type", "hero.create", "--yes", *options, before=crash)).code == 99
    await hole.holds(2)
    (await press.run(environment, *DROP, "--type", "hero.create", "--yes", *options)).ends(DONE, "1 dropped")
    written = lines(log.read_text())
    assert [line["id"] for line in written] == [one.id, other.id, other.id]
    assert {line["why"] for line in written} == {"sent by mistake"}
    assert written[0]["sha256"] == sha256(one.to_json()).hexdigest()
    assert written[0]["headers"]["x-dead-letter-reason"] == "handler_failed"
    assert "@" in written[0]["who"]
    assert SECRET not in log.read_text()
    assert await hole.bodies(1) == [kept.to_json()]
