"""Every call of the typed client gets the outcome of its own command from a worker, however many are under way."""

import asyncio

import pytest

from contracts.batch import CreateOperation, DeleteOperation, Operation, UpdateOperation
from contracts.client import CommandDeadLetteredError, CommandRejectedError, HeroesClient, QueryFailedError
from contracts.heroes import CommandDeadLettered, CommandRejected, HeroCreated, HeroDeleted, HeroUpdated
from tests.harness.commands import create, delete, update
from tests.harness.stage import Stage
from worker.app import Worker


async def test_a_call_returns_the_event_that_tells_what_became_of_the_command(client: HeroesClient) -> None:
    created = await client.call(create(name="Ada", age=3))
    assert isinstance(created, HeroCreated)
    hero = created.data.hero
    assert (hero.name, hero.age, hero.version) == ("Ada", 3, 1)
    updated = await client.call(update(hero.id, {"age": None}, expected_version=1))
    assert isinstance(updated, HeroUpdated)
    assert (updated.data.hero.age, updated.data.hero.version, updated.data.changed) == (None, 2, ("age",))
    deleted = await client.call(delete(hero.id))
    assert isinstance(deleted, HeroDeleted)
    assert deleted.data.hero.version == 2


async def test_a_call_returns_a_no_as_an_event_too(client: HeroesClient) -> None:
    command = delete(2**62)
    rejected = await client.call(command)
    assert isinstance(rejected, CommandRejected)
    assert (rejected.data.code, rejected.causationid) == ("hero_not_found", command.id)


async def test_a_call_under_a_used_id_returns_that_it_was_set_aside(client: HeroesClient) -> None:
    command = create(name="first")
    await client.call(command)
    other = await client.call(create(name="second", id=command.id))
    assert isinstance(other, CommandDeadLettered)
    assert other.data.reason == "id_reused"


async def test_the_same_command_again_returns_the_same_event(client: HeroesClient) -> None:
    """What a caller does after a time-out."""
    command = create()
    assert await client.call(command) == await client.call(command)


async def test_two_calls_of_the_same_command_at_once_both_get_its_event(client: HeroesClient) -> None:
    command = create()
    first, second = await asyncio.gather(client.call(command), client.call(command))
    assert first == second


async def test_two_hundred_calls_at_once_get_each_their_own_outcome(client: HeroesClient) -> None:
    commands = [create(name=f"hero {number}") for number in range(200)]
    events = await asyncio.gather(*map(client.call, commands))
    for command, event in zip(commands, events, strict=True):
        assert isinstance(event, HeroCreated)
        assert (event.causationid, event.data.hero.name) == (command.id, command.data.name)


async def test_the_named_methods_return_typed_events(client: HeroesClient) -> None:
    created = await client.create(name="Ada", secret_name="s", age=3)
    hero = created.data.hero
    updated = await client.update(hero.id, {"age": None}, expected_version=1)
    assert (updated.data.hero.version, updated.data.changed) == (2, ("age",))
    assert (await client.get(hero.id)).secret_name == "s"
    deleted = await client.delete(hero.id)
    assert deleted.data.hero.id == hero.id
    with pytest.raises(QueryFailedError) as gone:
        await client.get(hero.id)
    assert gone.value.code == "hero_not_found"


async def test_a_batch_returns_the_events_of_its_operations_in_order(client: HeroesClient) -> None:
    created = await client.batch(
        [CreateOperation(op="create", name=f"batch {n}", secret_name="s", age=n) for n in range(3)]
    )
    heroes = [event.data.hero for event in created if isinstance(event, HeroCreated)]
    assert [hero.name for hero in heroes] == ["batch 0", "batch 1", "batch 2"]
    mixed = await client.batch(
        [
            UpdateOperation(op="update", hero_id=heroes[0].id, changes={"name": "first"}),
            DeleteOperation(op="delete", hero_id=heroes[1].id),
            UpdateOperation(op="update", hero_id=heroes[0].id, changes={"age": None}, expected_version=2),
        ]
    )
    assert [event.type for event in mixed] == ["hero.updated", "hero.deleted", "hero.updated"]
    page = await client.list(name="batch 2")
    assert (page.total, page.heroes[0].id) == (1, heroes[2].id)


async def test_a_no_is_raised_with_its_code(client: HeroesClient) -> None:
    with pytest.raises(CommandRejectedError) as no:
        await client.update(2**62, {"name": "nobody"})
    assert (no.value.code, no.value.operation) == ("hero_not_found", None)
    created = await client.create(name="kept", secret_name="s")
    operations: list[Operation] = [
        UpdateOperation(op="update", hero_id=created.data.hero.id, changes={"name": "lost"}),
        DeleteOperation(op="delete", hero_id=2**62),
    ]
    with pytest.raises(CommandRejectedError) as no:
        await client.batch(operations)
    assert (no.value.code, no.value.operation) == ("hero_not_found", 1)
    assert (await client.get(created.data.hero.id)).name == "kept"


async def test_what_was_set_aside_is_raised_with_its_reason(client: HeroesClient) -> None:
    first = await client.create(name="first", secret_name="s")
    with pytest.raises(CommandDeadLetteredError) as aside:
        await client.create(name="second", secret_name="s", id=first.causationid)
    assert aside.value.reason == "id_reused"


async def test_a_thousand_calls_at_once_get_each_their_own_outcome_though_few_may_be_under_way(
    stage: Stage, worker: Worker
) -> None:
    async with HeroesClient(stage.rabbitmq_url, timeout_seconds=30, in_flight=100) as client:
        events = await asyncio.gather(*(client.create(name=f"many {n}", secret_name="s") for n in range(1000)))
    assert [event.data.hero.name for event in events] == [f"many {n}" for n in range(1000)]
