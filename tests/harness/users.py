"""Users of the broker that may do less than everything."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote, urlsplit

import httpx

from worker.local import Services

PASSWORD = "Zx9Qk7-password"


@asynccontextmanager
async def management_of(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """The broker's management API."""
    async with httpx.AsyncClient(base_url=f"{services.management_url}/api", trust_env=False, timeout=20) as client:
        yield client


@asynccontextmanager
async def user(
    management: httpx.AsyncClient, url: str, *, configure: str | None, write: str = ".*", read: str = ".*"
) -> AsyncIterator[str]:
    """The URL for a fresh user with these rights, or with none at all, to the virtual host."""
    host = urlsplit(url).path[1:]
    name = f"{host}-user"
    (await management.put(f"/users/{name}", json={"password": PASSWORD, "tags": ""})).raise_for_status()
    try:
        if configure is not None:
            rights = {"configure": configure, "write": write, "read": read}
            (await management.put(f"/permissions/{host}/{name}", json=rights)).raise_for_status()
        address = urlsplit(url)
        where = f"{quote(name)}:{PASSWORD}@{address.hostname}:{address.port}"
        yield address._replace(netloc=where).geturl()
    finally:
        await management.delete(f"/users/{name}")
