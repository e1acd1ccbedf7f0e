"""`heroes check` names each right that its user of the broker lacks, a wrong password, and a policy that does harm."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from aio_pika.abc import AbstractChannel

from tests.harness.press import DONE, UNPREPARED, USAGE, Press
from tests.harness.shipped import definitions, shipped_users
from tests.harness.stage import Stage, eventually
from tests.harness.users import user

SLOT = "heroes.commands.07"
WRITE = r"^(amq\.default|heroes\.(events|dead_letters))$"
READ = r"^heroes\.(commands(\..*)?|queries|events\.log)$"


async def test_a_workers_user_gets_one_note_about_what_it_may_not_see(
    press: Press, stage: Stage, management: httpx.AsyncClient
) -> None:
    async with user(management, stage.rabbitmq_url, configure="^$", write=WRITE, read=READ) as url:
        said = (await press.run(stage.environment(HEROES_RABBITMQ_URL=url), "check")).ends(
            DONE, "! rights: this user may not declare, and a worker need not", "✓ rights: this user may do all"
        )
    assert said.output.count("! rights") == 1


LACKING = {
    "it may not consume queue heroes.commands.07": (WRITE, r"^heroes\.(commands(\.(?!07).*)?|queries|events\.log)$"),
    "it may not consume 17 queues (heroes.commands.00": (WRITE, r"^heroes\.queries$"),
    "it may not publish to heroes.events": (r"^(amq\.default|heroes\.dead_letters)$", READ),
    "it may not publish to heroes.dead_letters": (r"^(amq\.default|heroes\.events)$", READ),
    "it may not publish to the default exchange, for replies": (r"^heroes\.(events|dead_letters)$", READ),
}


IN_EVERY_RUN = list(LACKING)[1:3]
IN_MAKE_FAULTS = [pytest.param(told, marks=pytest.mark.fault) for told in LACKING if told not in IN_EVERY_RUN]


@pytest.mark.parametrize("told", [*IN_EVERY_RUN, *IN_MAKE_FAULTS])
async def test_each_right_that_a_workers_user_lacks_is_named(
    press: Press, stage: Stage, management: httpx.AsyncClient, told: str
) -> None:
    write, read = LACKING[told]
    async with user(management, stage.rabbitmq_url, configure="^$", write=write, read=read) as url:
        said = await press.run(stage.environment(HEROES_RABBITMQ_URL=url), "check")
    said.ends(
        UNPREPARED,
        "✗ rights: this user may not do what a worker does: ",
        told,
        "give it the rights of the worker's user",
    )
    assert said.output.count("✗") == 1


async def test_the_shipped_users_are_right_and_one_who_may_only_declare_a_part_is_not(
    press: Press, stage: Stage, management: httpx.AsyncClient
) -> None:
    async with shipped_users(management, stage.rabbitmq_url) as urls:
        setup, worker = (stage.environment(HEROES_RABBITMQ_URL=urls[role]) for role in ("setup", "worker"))
        (await press.run(worker, "check")).ends(DONE)
        (await press.run(setup, "check")).ends(
            DONE,
            "are as declared",
            "! rights: this user may prepare the broker, but not run a worker: it may not publish",
        )
        host, name = urlsplit(urls["setup"]).path[1:], urlsplit(urls["setup"]).username
        rights = {"configure": r"^heroes\.commands.*", "write": r"^heroes\.commands\.(?!07)", "read": ".*"}
        (await management.put(f"/permissions/{host}/{name}", json=rights)).raise_for_status()
        (await press.run(setup, "check")).ends(
            UNPREPARED,
            "✗ rights: this user may declare some of it, but not exchange heroes.dead_letters",
            f"✗ rights: this user may bind some of it, but not queue {SLOT}\n    → give it the rights of the setup",
        )


@pytest.mark.parametrize("pattern", ["RABBITMQ", "DATABASE"])
async def test_a_wrong_password_is_a_wrong_setting_and_is_told_at_once(
    press: Press, stage: Stage, pattern: str
) -> None:
    name = f"HEROES_{pattern}_URL"
    environment = stage.environment()
    wrong = environment | {name: environment[name].replace("@", "x@", 1)}
    (await press.run(wrong, "check")).ends(USAGE, f"{name}: ", "refuses this user and password", f"→ set {name} right")


@pytest.mark.fault  # the API learns of a policy after five seconds or ten
async def test_policies_that_would_lose_or_refuse_messages_are_told(
    press: Press, stage: Stage, seeing: Mapping[str, str], management: httpx.AsyncClient, channel: AbstractChannel
) -> None:
    host, queue = urlsplit(stage.rabbitmq_url).path[1:], "heroes.events.shop"
    declared: dict[str, Any] = {"x-queue-type": "quorum", "x-overflow": "reject-publish"}  # as docs/wire.md has it
    await channel.declare_queue(queue, durable=True, arguments=declared)
    shipped = {"pattern": r"^heroes\.events\.shop$", "definition": definitions()["policies"][0]["definition"]}
    policies = {
        "full": {"pattern": r"^heroes\.events\.shop$", "definition": {"max-length": 9, "overflow": "reject-publish"}},
        "short": {"pattern": rf"^{SLOT}$", "definition": {"message-ttl": 9}},
    }

    await management.delete(f"/policies/{host}/heroes-consumers")  # the shipped one, from another test

    async def says(code: int, *told: str, not_told: str | None = None) -> None:
        async def it_does() -> bool:
            said = await press.run(seeing, "check")
            silent = not_told is None or not_told not in said.output
            return said.code == code and silent and all(one in said.output for one in told)

        await eventually(it_does, f"{code}: {told}")

    growing = f"! policies: nothing keeps queue {queue} from growing"
    await says(DONE, growing)
    await management.put(f"/policies/{host}/shipped", json={**shipped, "apply-to": "queues"})
    await says(DONE, not_told="policies:")
    await management.delete(f"/policies/{host}/shipped")
    for name, policy in policies.items():
        await management.put(f"/policies/{host}/{name}", json={**policy, "apply-to": "queues"})
    refuses = f"✗ policies: queue {queue} refuses what comes when it is full"
    await says(UNPREPARED, refuses, f"✗ policies: a policy sets message-ttl for queue {SLOT}")
    for name in policies:
        await management.delete(f"/policies/{host}/{name}")
    await channel.queue_delete(queue)
    await says(DONE)
