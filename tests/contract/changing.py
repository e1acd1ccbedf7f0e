"""Changes the AsyncAPI document in one place: what the changes that are tried are made of."""

import json
from collections.abc import Callable
from typing import Any

from tests.contract.documents import asyncapi

Change = Callable[[Any], object]


def at(path: str, **values: Any) -> Change:
    """Sets keywords at a place like `CreateHeroData.properties.name`; None takes one away."""

    def change(document: Any) -> None:
        place = document["components"]["schemas"]
        for key in path.split("."):
            place = place[int(key) if isinstance(place, list) else key]
        for key, value in values.items():
            place.pop(key, None)
            if value is not None:
                place[key] = value

    return change


def without(model: str, *names: str) -> Change:
    """The model loses fields."""

    def change(document: Any) -> None:
        schema = document["components"]["schemas"][model]
        for name in names:
            del schema["properties"][name]
        schema["required"] = [name for name in schema["required"] if name not in names]

    return change


def required(model: str, *names: str) -> Change:
    """The model needs exactly these fields."""
    return at(model, required=list(names))


def many(*changes: Change) -> Change:
    return lambda document: [change(document) for change in changes]


def retyped(name: str) -> Change:
    """The type is called otherwise, everywhere."""

    def change(document: Any) -> None:
        renamed = json.dumps(document).replace(f'{name}"', f'{name}ed.v3"')
        document.clear()
        document.update(json.loads(renamed))

    return change


def channel(name: str, *path: str, value: Any) -> Change:
    def change(document: Any) -> None:
        place = document["channels"][name]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def new_type(document: Any) -> None:
    document["components"]["messages"]["hero.exploded"] = document["components"]["messages"]["hero.created"]
    document["channels"]["heroes.events"]["messages"]["hero.exploded"] = {"$ref": "#/components/messages/hero.exploded"}


def content_type(document: Any) -> None:
    document["components"]["messages"]["hero.create"]["contentType"] = "application/xml"


def changed(change: Change) -> Any:
    """The present document after the change."""
    document = asyncapi()
    change(document)
    return document
