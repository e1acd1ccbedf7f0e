"""Changes of the contract, breaking and harmless, each done to a copy of the AsyncAPI document."""

from tests.contract.changing import Change, at, channel, content_type, many, new_type, required, retyped, without
from tests.contract.documents import asyncapi

SHIELD = {"type": "string", "minLength": 1}
CREATE, CHANGES, HERO = "CreateHeroData.properties", "HeroChanges.properties", "Hero.properties"
OLD_NULL = [{"type": "integer", "minimum": 0, "maximum": 2**31 - 1}, {"type": "null"}]
SLOTS_32 = [f"{number:02d}" for number in range(32)]
EXCHANGE = ("bindings", "amqp", "exchange", "name")

BREAKING: dict[str, tuple[Change, str]] = {
    "a command loses a field": (without("CreateHeroData", "age"), "hero.create: data.age is gone"),
    "a command loses a field of the envelope": (without("DeleteHero", "expirytime"), "hero.delete: expirytime is gone"),
    "a command's field is renamed": (
        many(without("DeleteHeroData", "hero_id"), at("DeleteHeroData.properties", id={"type": "integer"})),
        "hero.delete: data.hero_id is gone",
    ),
    "a command needs a new field": (
        many(at(CREATE, shield=SHIELD), required("CreateHeroData", "name", "secret_name", "shield")),
        "hero.create: data.shield is required now",
    ),
    "an optional field is needed": (
        required("CreateHeroData", "name", "secret_name", "age"),
        "hero.create: data.age is required now",
    ),
    "a text must be shorter": (at(f"{CREATE}.name", maxLength=100), "hero.create: data.name maxLength was 200, is 100"),
    "a text must be longer": (at(f"{CREATE}.name", minLength=2), "hero.create: data.name minLength was 1, is 2"),
    "a number must be smaller": (
        at("DeleteHeroData.properties.hero_id", maximum=9),
        "hero.delete: data.hero_id maximum was 9223372036854775807, is 9",
    ),
    "a number must be greater": (
        at("GetHeroData.properties.hero_id", minimum=2),
        "hero.get: data.hero_id minimum was 1, is 2",
    ),
    "a number must be a multiple": (
        at("GetHeroData.properties.hero_id", multipleOf=2),
        "hero.get: data.hero_id multipleOf was None, is 2",
    ),
    "a pattern changes": (at(f"{CHANGES}.name", pattern="^[a-z]*$"), "hero.update: data.changes.name pattern was"),
    "a choice is narrowed": (at(f"{CREATE}.name", enum=["Ada"]), "hero.create: data.name no longer takes 'any value'"),
    "a fixed value changes": (
        at("CreateHero.properties.specversion", const="2.0"),
        "hero.create: specversion no longer takes '1.0'",
    ),
    "a type changes": (
        at("GetHeroData.properties", hero_id={"type": "string"}),
        "hero.get: data.hero_id no longer takes integer",
    ),
    "null is no longer taken": (at(f"{CHANGES}.age", anyOf=OLD_NULL[:1]), "data.changes.age no longer takes null"),
    "a default changes": (at("ListHeroesData.properties.limit", default=50), "data.limit default was 100, is 50"),
    "a list must be shorter": (
        at("BatchHeroesData.properties.operations", maxItems=10),
        "hero.batch: data.operations maxItems was 1000, is 10",
    ),
    "a list must be longer": (
        at("BatchHeroesData.properties.operations", minItems=2),
        "hero.batch: data.operations minItems was 1, is 2",
    ),
    "an object must hold more": (
        at("UpdateHeroData.properties.changes", minProperties=2),
        "hero.update: data.changes minProperties was 1, is 2",
    ),
    "one of several kinds goes": (
        at("BatchHeroesData.properties.operations.items", oneOf=[{"$ref": "#/components/schemas/CreateOperation"}]),
        "hero.batch: data.operations[] no longer takes object with op 'delete'",
    ),
    "a field of one of several kinds goes": (
        without("DeleteOperation", "expected_version"),
        "hero.batch: data.operations[].expected_version is gone",
    ),
    "unknown attributes are refused": (
        at("CreateHero", additionalProperties=False),
        "hero.create: no longer takes an object with unknown fields",
    ),
    "a command's type is renamed": (retyped("hero.create"), "hero.create: is gone"),
    "the content type changes": (content_type, "hero.create: contentType was 'application/cloudevents+json'"),
    "an event loses a field": (without("Hero", "age"), "hero.created: data.hero.age is gone"),
    "an event loses an optional field": (without("CommandRejectedData", "operation"), "data.operation is gone"),
    "an event's field is no longer always there": (
        required("HeroData"),
        "hero.deleted: data.hero is no longer always there",
    ),
    "an event's field may be null": (
        at(HERO, name={"anyOf": [{"type": "string"}, {"type": "null"}]}),
        "hero.created: data.hero.name may now be null",
    ),
    "an event's field changes its type": (
        at(HERO, version={"type": "string"}),
        "hero.updated: data.hero.version may now be string",
    ),
    "an event's bound is loosened": (
        at(f"{HERO}.name", maxLength=400),
        "hero.created: data.hero.name maxLength was 200, is 400",
    ),
    "an event's form is no longer promised": (
        at(f"{HERO}.created_at", format=None),
        "hero.created: data.hero.created_at format was 'date-time', is None",
    ),
    "an event's type is renamed": (retyped("hero.deleted"), "hero.deleted: is gone"),
    "a reply loses a field": (without("ListHeroesReplyData", "total"), "hero.list.reply: data.total is gone"),
    "a reply may be of another kind": (
        at("BatchReplyData.properties.events.items.oneOf.0", **{"$ref": "#/components/schemas/QueryFailed"}),
        "hero.batch.reply: data.events[] may now be object with",
    ),
    "a header goes": (
        lambda document: document["components"]["schemas"]["event.headers"]["properties"].pop("message_id"),
        "hero.created: headers.message_id is gone",
    ),
    "the exchange is renamed": (
        channel("heroes.commands", *EXCHANGE, value="commands"),
        "channel heroes.commands: exchange name was 'heroes.commands', is 'commands'",
    ),
    "the number of slots changes": (
        channel("heroes.commands", "parameters", "slot", "enum", value=SLOTS_32),
        "channel heroes.commands: the values of {slot} was 16 from '00' to '15', is 32 from '00' to '31'",
    ),
    "a queue is renamed": (
        channel("heroes.dead_letters", "bindings", "amqp", "queue", "name", value="dead"),
        "channel heroes.dead_letters: queue name was",
    ),
    "a channel goes": (
        lambda document: document["channels"].pop("heroes.events.log"),
        "channel heroes.events.log: is gone",
    ),
    "a type moves": (
        lambda document: document["channels"]["heroes.events"]["messages"].pop("hero.created"),
        "hero.created: does not travel on heroes.events any more",
    ),
}

HARMLESS: dict[str, Change] = {
    "nothing changes": many(),
    "a new optional field in a command": at(CREATE, shield=SHIELD),
    "a new optional field in a query": at("ListHeroesData.properties", sorted_by=SHIELD),
    "a field of a command is no longer needed": required("CreateHeroData", "name"),
    "a command takes longer texts": at(f"{CREATE}.name", maxLength=400, minLength=None),
    "a command takes any text": at(f"{CREATE}.name", pattern=None),
    "a command takes null, too": at(CREATE, name={"anyOf": [{"type": "string"}, {"type": "null"}]}),
    "a command takes any number": at("GetHeroData.properties", hero_id={"type": "number"}),
    "a command takes unknown fields": at("CreateHeroData", additionalProperties=None),
    "a batch takes more": at("BatchHeroesData.properties.operations", maxItems=2000),
    "a new field in an event": many(
        at(HERO, shield=SHIELD),
        at("Hero", required=[*asyncapi()["components"]["schemas"]["Hero"]["required"], "shield"]),
    ),
    "a new optional field in an event": at(HERO, shield=SHIELD),
    "an event's field is always there from now on": required(
        "CommandRejectedData", "command_type", "code", "detail", "operation"
    ),
    "an event's field is never null any more": at(HERO, age={"type": "integer", "minimum": 0, "maximum": 9}),
    "an event's text is shorter": at(f"{HERO}.name", maxLength=100),
    "an event's text is one of a few": at(f"{HERO}.name", enum=["Ada"]),
    "a new type": new_type,
    "a new channel": lambda document: document["channels"].update(more=document["channels"]["heroes.events"]),
    "a new description": at("CreateHeroData", description="Other words."),
    "a new version": lambda document: document["info"].update(version="0.2.0"),
}
