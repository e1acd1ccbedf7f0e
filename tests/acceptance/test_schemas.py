"""What the worker really sends is what the committed schemas say, type by type."""

from typing import Any

from contracts.batch import BatchHeroes, BatchHeroesData, CreateOperation
from contracts.catalogue import TYPES, Kind
from contracts.queries import GetHero, GetHeroData, ListHeroes, ListHeroesData
from tests.contract.documents import schema_file
from tests.harness.commands import SOURCE, create, delete, update
from tests.harness.stage import Stage
from tests.harness.wire import Wire, document
from tests.harness.workers import tidy_worker


async def _everything_said(wire: Wire) -> list[dict[str, Any]]:
    """One message at least of each type that a worker sends."""
    created = await wire.outcome(create(age=3, correlationid="mine"))
    hero = created["data"]["hero"]["id"]
    said = [created, await wire.outcome(update(hero, {"age": None})), await wire.outcome(delete(hero))]
    said.append(await wire.outcome(delete(hero)))
    reused = create(id=created["causationid"], name="Another")
    await wire.send(reused)
    said.append((await wire.events_of(reused.id, 2))[1])
    operation = CreateOperation(op="create", name="Ada", secret_name="nobody knows", age=None)
    batch = BatchHeroes.new(BatchHeroesData(operations=(operation,)), source=SOURCE)
    async with wire.replies() as replies:
        await wire.send(batch, reply_to=replies.name)
        said.append(document(await replies.next()))
        known = said[-1]["data"]["events"][0]["data"]["hero"]["id"]
        for query in (
            GetHero.new(GetHeroData(hero_id=known), source=SOURCE),
            GetHero.new(GetHeroData(hero_id=2**62), source=SOURCE),
            ListHeroes.new(ListHeroesData(), source=SOURCE),
        ):
            await wire.publish(query.to_json(), query.type, exchange="heroes.queries", reply_to=replies.name)
            said.append(document(await replies.next()))
    return said


async def test_every_type_that_a_worker_sends_fits_its_schema(stage: Stage, wire: Wire) -> None:
    async with tidy_worker(stage):
        said = await _everything_said(wire)
    for message in said:
        schema_file(message["type"]).validate(message)
    sent = {kept.name for kept in TYPES if kept.kind in {Kind.EVENT, Kind.REPLY}}
    assert {message["type"] for message in said} == sent
