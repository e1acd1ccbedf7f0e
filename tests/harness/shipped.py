"""The users of deploy/rabbitmq on a real broker: in one virtual host, under names of their own, deleted afterwards."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.harness.users import PASSWORD

RABBITMQ = Path(__file__).parents[2] / "deploy" / "rabbitmq"
APP = "shop"
PREFIX = "heroes-"


def definitions() -> dict[str, Any]:
    """What an operator imports: the file for all, and that for a consumer, with the application's name in it."""
    for_all = json.loads((RABBITMQ / "definitions.json").read_text())
    consumer = json.loads((RABBITMQ / "consumer.json").read_text().replace("APP", APP))
    return {**for_all, **{part: for_all[part] + consumer[part] for part in consumer}}


@asynccontextmanager
async def shipped_users(management: httpx.AsyncClient, url: str) -> AsyncIterator[Mapping[str, str]]:
    """A URL for each user, by its role: setup, worker, publisher, operator, consumer-shop."""
    address = urlsplit(url)
    host, wanted = address.path[1:], definitions()
    names = {user["name"]: f"{host}-{user['name']}" for user in wanted["users"]}
    there = {
        "users": [{**user, "name": names[user["name"]]} for user in wanted["users"]],
        "permissions": [{**one, "user": names[one["user"]], "vhost": host} for one in wanted["permissions"]],
        "policies": [{**policy, "vhost": host} for policy in wanted["policies"]],
    }
    try:
        (await management.post("/definitions", json=there)).raise_for_status()
        for user in there["users"]:
            body = {"password": PASSWORD, "tags": user["tags"]}
            (await management.put(f"/users/{user['name']}", json=body)).raise_for_status()
        where = f"{address.hostname}:{address.port}"
        yield {
            name.removeprefix(PREFIX): address._replace(netloc=f"{unique}:{PASSWORD}@{where}").geturl()
            for name, unique in names.items()
        }
    finally:
        for unique in names.values():
            await management.delete(f"/users/{unique}")
