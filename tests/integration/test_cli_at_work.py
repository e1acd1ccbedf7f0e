"""While a worker is at work, `heroes send`, `get`, `list` and `events` show what became of commands and heroes."""

import json
from pathlib import Path

from tests.harness.press import DONE, REFUSED, USAGE, Press
from tests.harness.stage import Stage
from worker.app import Worker


async def test_send_shows_what_became_of_a_hero(press: Press, stage: Stage, worker: Worker) -> None:
    environment = stage.environment()
    created = await press.run(environment, "send", "create", "--name", "Ada", "--secret-name", "Zx9Qk7", "--age", "3")
    created.ends(DONE, "✓ hero.created", "name Ada, age 3, version 1")
    assert "Zx9Qk7" not in created.output
    hero_id = created.output.partition("id ")[2].partition(",")[0]
    cleared = await press.run(environment, "send", "update", hero_id, "--clear-age", "--name", "Bea")
    cleared.ends(DONE, "✓ hero.updated", "name Bea, age unknown, version 2")
    deleted = await press.run(environment, "send", "delete", hero_id, "--expected-version", "2")
    deleted.ends(DONE, "✓ hero.deleted", f"id {hero_id}")
    gone = await press.run(environment, "send", "delete", hero_id)
    gone.ends(REFUSED, "✗ rejected (hero_not_found)", f"there is no hero {hero_id}")


async def test_send_shows_a_name_as_it_is(press: Press, stage: Stage, worker: Worker) -> None:
    """Square brackets and colons mean nothing here, whatever they mean to the library that prints."""
    name = "[red]Ada[/red] :smile: \\[x] [/]"
    arguments = "create", "--name", name, "--secret-name", "s"
    as_json = await press.run(stage.environment(), "send", *arguments, "--json")
    plain = await press.run(stage.environment(), "send", *arguments)
    assert as_json.ends(DONE).document["data"]["hero"]["name"] == name
    plain.ends(DONE, f"name {name}, age unknown")


async def test_get_and_list_show_heroes_as_the_worker_knows_them(press: Press, stage: Stage, worker: Worker) -> None:
    environment = stage.environment()
    created = await press.run(environment, "send", "create", "--name", "Asked", "--secret-name", "Zx9Qk7", "--json")
    hero_id = str(created.ends(DONE).document["data"]["hero"]["id"])
    (await press.run(environment, "get", hero_id)).ends(DONE, "Asked", "Zx9Qk7")
    as_json = await press.run(environment, "get", hero_id, "--json")
    assert as_json.ends(DONE).document["secret_name"] == "Zx9Qk7"
    page = await press.run(environment, "list", "--name", "Asked", "--limit", "1")
    page.ends(DONE, "Asked", "1 of 1")
    assert (await press.run(environment, "list", "--name", "Asked", "--json")).ends(DONE).document["total"] == 1
    (await press.run(environment, "get", str(2**62))).ends(REFUSED, "hero_not_found")
    (await press.run(environment, "get", "0")).ends(USAGE, "hero_id")


async def test_a_batch_file_takes_effect_once_however_often_it_is_sent(
    press: Press, stage: Stage, worker: Worker, tmp_path: Path
) -> None:
    file = tmp_path / "batch.jsonl"
    lines = [{"op": "create", "name": f"Filed {number}", "secret_name": "s"} for number in range(25)]
    file.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    for _ in range(2):
        said = await press.run(stage.environment(), "send", "batch", str(file), "--size", "10")
        said.ends(DONE, "25 operations")
    assert len(await stage.rows("SELECT FROM hero WHERE name LIKE 'Filed %'")) == 25
    (await press.run(stage.environment(), "send", "batch", str(file), "--again")).ends(DONE, "25 operations")
    assert len(await stage.rows("SELECT FROM hero WHERE name LIKE 'Filed %'")) == 50


MISTAKES = {
    '{"op": "create", "name": 3, "secret_name": "s"}': "create.name: Input should be a valid string",
    '{"op": "create", "name": "Ada"}': "create.secret_name: is missing",
    '{"op": "delete", "hero_id": 7, "age": 3}': "delete.age: is no field of it",
    '{"name": "Ada"}': "needs an op: create, update or delete",
    "create Ada": "Invalid JSON",
}


async def test_a_batch_file_with_a_mistake_is_told_by_its_line_and_one_that_is_refused_by_its_operation(
    press: Press, stage: Stage, worker: Worker, tmp_path: Path
) -> None:
    good = '{"op": "create", "name": "Never", "secret_name": "s"}'
    file = tmp_path / "batch.jsonl"
    for mistake, told in MISTAKES.items():
        file.write_text(f"{good}\n{mistake}\n")
        (await press.run(stage.environment(), "send", "batch", str(file))).ends(USAGE, f"line 2: {told}")
    file.write_text("\n\n")
    (await press.run(stage.environment(), "send", "batch", str(file))).ends(USAGE, "there is no operation in it")
    file.write_text(f'{good}\n{{"op": "delete", "hero_id": {2**62}}}\n')
    (await press.run(stage.environment(), "send", "batch", str(file))).ends(REFUSED, "operation 2", "hero_not_found")
    assert await stage.rows("SELECT FROM hero WHERE name = 'Never'") == []
    (await press.run(stage.environment(), "send", "batch", str(tmp_path / "none"))).ends(
        USAGE, "can't be read: No such file"
    )


async def test_events_shows_history_from_the_start(press: Press, stage: Stage, worker: Worker) -> None:
    environment = stage.environment()
    (await press.run(environment, "send", "create", "--name", "Followed", "--secret-name", "Zx9Qk7")).ends(DONE)
    shown = await press.run(environment, "events", "--from-start", "--no-follow")
    shown.ends(DONE, "hero.created", "Followed")
    assert "Zx9Qk7" not in shown.output
    as_json = await press.run(environment, "events", "--from-start", "--no-follow", "--json")
    lines = [json.loads(line) for line in as_json.ends(DONE).output.splitlines()]
    (followed,) = [line for line in lines if line["data"].get("hero", {}).get("name") == "Followed"]
    assert f"command {followed['causationid']}, event {followed['id']}" in shown.output


async def test_send_prints_the_event_as_it_is_on_the_wire(press: Press, stage: Stage, worker: Worker) -> None:
    command_id = "3f2b8c1e-9d4a-4c6b-8e7f-0a1b2c3d4e5f"
    arguments = "create", "--name", "n" * 200, "--secret-name", "s", "--id", command_id
    first = await press.run(stage.environment(), "send", *arguments, "--json")
    assert first.ends(DONE).document["type"] == "hero.created"
    assert first.document["causationid"] == command_id
    again = await press.run(stage.environment(), "send", *arguments, "--json")
    assert again.ends(DONE).document == first.document
    other = await press.run(stage.environment(), "send", "delete", "1", "--id", command_id, "--json")
    assert other.ends(REFUSED).document["data"]["reason"] == "id_reused"
    plain = await press.run(stage.environment(), "send", "delete", "1", "--id", command_id)
    plain.ends(REFUSED, "✗ dead-lettered (id_reused)")
