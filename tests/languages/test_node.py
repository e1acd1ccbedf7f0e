"""A publisher in Node.js that was written from docs/wire.md alone gets along with the worker."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.harness.node import Node
from tests.harness.stage import Stage
from tests.harness.workers import tidy_worker
from tests.languages.test_wire_document import documented_slots

SCRIPTS = Path(__file__).parent / "node"

Finding = dict[str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    return await Node.found(tmp_path_factory.mktemp("nodejs"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def findings(stage: Stage, node: Node, tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    """What the publisher found, in its order; node_modules stands in a folder of the test's."""
    folder = tmp_path_factory.mktemp("publisher")
    shutil.copytree(SCRIPTS, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    await node.install(folder)
    async with tidy_worker(stage):
        said = await node.run(folder, "publisher.mjs", AMQP_URL=stage.rabbitmq_url)
    return [json.loads(line) for line in said.splitlines()]


async def test_the_slots_of_docs_wire_are_those_that_node_works_out(node: Node) -> None:
    documented = documented_slots()
    said = await node.run(SCRIPTS, "slots.mjs", given="\n".join(documented))
    assert dict(zip(documented, said.split(), strict=True)) == documented


def test_every_command_went_to_a_slot_and_was_answered_with_its_first_event(findings: list[Finding]) -> None:
    commands = [one for one in findings if one["sent"] in {"hero.create", "hero.update", "hero.delete"}]
    assert len(commands) == 4
    for one in commands:
        assert re.fullmatch(r"0\d|1[0-5]", one["routingKey"])
        assert one["reply"] == one["events"][0]
        assert one["reply"]["causationid"] == one["id"]


def test_create_update_and_delete_took_effect(findings: list[Finding]) -> None:
    created, updated, _, _, _, _, deleted, _, _ = findings
    assert created["reply"]["type"] == "hero.created"
    assert updated["reply"]["data"]["changed"] == ["age"]
    assert updated["reply"]["data"]["hero"]["version"] == 2
    assert deleted["reply"]["type"] == "hero.deleted"
    assert deleted["reply"]["data"]["hero"]["name"] == "Node.js"


def test_a_batch_was_answered_with_all_its_events_in_order(findings: list[Finding]) -> None:
    batch = findings[2]
    assert batch["reply"]["type"] == "hero.batch.reply"
    assert batch["reply"]["data"]["events"] == batch["events"]
    told = [(event["type"], event["data"]["hero"]["version"]) for event in batch["events"]]
    assert told == [("hero.created", 1), ("hero.updated", 3), ("hero.updated", 4)]


def test_a_batch_that_could_not_be_applied_names_its_operation(findings: list[Finding]) -> None:
    rejected = findings[3]
    assert rejected["reply"] == rejected["events"][0]
    assert rejected["reply"]["type"] == "hero.command_rejected"
    assert {"code": "version_conflict", "operation": 1}.items() <= rejected["reply"]["data"].items()


def test_queries_were_answered(findings: list[Finding]) -> None:
    got, listed, missing = findings[4]["reply"], findings[5]["reply"], findings[7]["reply"]
    assert (got["type"], got["data"]["hero"]["secret_name"]) == ("hero.get.reply", "V8")
    assert (listed["type"], listed["data"]["total"]) == ("hero.list.reply", 1)
    assert (missing["type"], missing["data"]["code"]) == ("hero.query_failed", "hero_not_found")


def test_the_same_command_sent_again_was_answered_with_the_same_event(findings: list[Finding]) -> None:
    assert findings[8]["reply"] == findings[0]["reply"]
    assert [event["id"] for event in findings[8]["events"]] == [findings[0]["events"][0]["id"]]


async def test_the_rows_are_what_the_publisher_asked_for(stage: Stage, findings: list[Finding]) -> None:
    rows = await stage.rows("SELECT name, secret_name, age, version FROM hero")
    assert [tuple(row.values()) for row in rows] == [("Libuv", "loop", 14, 1)]
