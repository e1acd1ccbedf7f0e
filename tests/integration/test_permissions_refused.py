"""What is not the work of one of the users of deploy/rabbitmq is refused to it, and works for who has every right."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

import aio_pika
import aiormq
import httpx
import pytest

from tests.harness.shipped import APP, definitions
from tests.harness.stage import Stage
from tests.harness.user_acts import (
    COMMANDS,
    EVENTS,
    LETTERS,
    LOG,
    NAMED,
    OTHER,
    QUERIES,
    SLOT,
    UNSLOTTED,
    bind,
    consume,
    declare_exchange,
    declare_queue,
    delete_exchange,
    delete_queue,
    publish,
    purge,
    unbind,
)
from tests.harness.users import PASSWORD
from worker.app import running_worker
from worker.errors import ExitCode, TopologyError
from worker.local import Services
from worker.messaging import topology
from worker.messaging.connection import connected

CONSUMER = f"consumer-{APP}"

Act = Callable[..., Awaitable[None]]
FORBIDDEN: dict[str, tuple[tuple[Act, tuple[str, ...]], ...]] = {
    "setup": (
        (publish, (COMMANDS,)),
        (publish, (EVENTS,)),
        (publish, ("",)),
        (consume, (LOG,)),
        (declare_queue, (NAMED,)),
        (declare_queue, ("heroes.commands_mine",)),
        (declare_exchange, ("mine",)),
        (delete_queue, ("mine",)),
    ),
    "worker": (
        (publish, (COMMANDS,)),
        (publish, (QUERIES,)),
        (consume, (LETTERS,)),
        (purge, (LETTERS,)),
        (declare_queue, ("mine",)),
        (declare_queue, ("heroes.commands.16",)),
        (declare_exchange, ("mine",)),
        (delete_queue, (SLOT,)),
        (delete_queue, (LETTERS,)),
        (delete_exchange, (EVENTS,)),
        (bind, (SLOT, COMMANDS)),
        (unbind, (SLOT, COMMANDS)),
        (consume, (NAMED,)),
    ),
    "publisher": (
        (publish, (EVENTS,)),
        (publish, (LETTERS,)),
        (publish, (UNSLOTTED,)),
        (publish, ("",)),
        (consume, (SLOT,)),
        (purge, (SLOT,)),
        (consume, (LOG,)),
        (consume, (LETTERS,)),
        (consume, (QUERIES,)),
        (declare_queue, ("mine",)),
        (declare_queue, (NAMED,)),
        (delete_queue, (SLOT,)),
        (delete_exchange, (COMMANDS,)),
        (unbind, (SLOT, COMMANDS)),
    ),
    CONSUMER: (
        (publish, (COMMANDS,)),
        (publish, (EVENTS,)),
        (publish, (QUERIES,)),
        (publish, (LETTERS,)),
        (publish, ("",)),
        (consume, (SLOT,)),
        (consume, (LETTERS,)),
        (consume, (OTHER,)),
        (purge, (OTHER,)),
        (purge, (SLOT,)),
        (declare_queue, (OTHER,)),
        (declare_queue, (f"{NAMED}2",)),
        (declare_queue, (LOG,)),
        (delete_queue, (LOG,)),
        (delete_queue, (OTHER,)),
        (bind, (NAMED, COMMANDS)),
        (bind, (LOG, EVENTS)),
    ),
    "operator": (
        (publish, (EVENTS,)),
        (publish, (QUERIES,)),
        (publish, (LETTERS,)),
        (publish, ("",)),
        (consume, (SLOT,)),
        (purge, (SLOT,)),
        (consume, (LOG,)),
        (declare_queue, ("mine",)),
        (delete_queue, (LETTERS,)),
        (delete_queue, (SLOT,)),
        (bind, (LETTERS, COMMANDS)),
    ),
}


CASES = [
    pytest.param(role, act, names, id=f"{role}: {act.__name__} {' '.join(name or '(default)' for name in names)}")
    for role, acts in FORBIDDEN.items()
    for act, names in acts
]
LAST = (delete_queue, delete_exchange)


@pytest.mark.parametrize(("role", "act", "names"), CASES)
async def test_nobody_may_do_what_is_not_their_work(
    users: Mapping[str, str], role: str, act: Act, names: tuple[str, ...]
) -> None:
    async with await aio_pika.connect(users[role]) as connection:
        channel = await connection.channel()
        with pytest.raises(aiormq.exceptions.ChannelAccessRefused):
            await act(channel, *names)


async def test_what_is_forbidden_to_one_works_for_who_has_every_right(services: Services) -> None:
    """The positive control: an act that always fails would look like one that is refused."""
    acts = {one for acts in FORBIDDEN.values() for one in acts}
    with services.virtual_host("control") as url:
        async with await aio_pika.connect(url) as connection:
            await topology.declare(connection, 7)
            for queue in (NAMED, OTHER):
                await declare_queue(await connection.channel(), queue)
            for act, names in sorted(acts, key=lambda one: (one[0] in LAST, one[0].__name__, one[1])):
                with suppress(aiormq.exceptions.ChannelPreconditionFailed):  # the log stands there with its own age
                    await act(await connection.channel(), *names)


async def test_an_imported_user_can_not_log_in_before_it_has_a_password(
    management: httpx.AsyncClient, users: Mapping[str, str]
) -> None:
    assert {user["password_hash"] for user in definitions()["users"]} == {""}
    name = urlsplit(users["worker"]).username
    (await management.put(f"/users/{name}-new", json={"password_hash": "", "tags": ""})).raise_for_status()
    try:
        for password in ("", "x", "guest"):
            refused = await management.get("/whoami", auth=httpx.BasicAuth(f"{name}-new", password))
            assert refused.status_code == httpx.codes.UNAUTHORIZED
    finally:
        await management.delete(f"/users/{name}-new")


async def test_a_worker_without_its_rights_says_so_at_its_start(corner: Stage, users: Mapping[str, str]) -> None:
    """A publisher's user in the place of the worker's: one sentence, its own exit code and no password."""
    settings = corner.settings(rabbitmq_url=users["publisher"])
    async with connected(users["worker"], within_seconds=10) as connection:
        assert await topology.missing(connection, 7) == []  # the user whose rights these are sees all of it
    with pytest.raises(TopologyError) as refused:
        async with running_worker(settings):
            pass
    assert "permission" in str(refused.value)
    assert PASSWORD not in str(refused.value)
    assert refused.value.exit_code is ExitCode.UNPREPARED
