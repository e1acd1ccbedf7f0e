"""What only the broker's management API tells of queues: unacknowledged messages, rates, who consumes them.

It is an extra: where it does not answer, a sentence says so and nothing fails.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx
from yarl import URL

from worker.messaging.consumer import TAG_SEPARATOR

_TIMEOUT_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Detail:
    """One queue. Rates are per second; `active` is the worker that is given its messages; None: not told."""

    unacked: int | None = None
    in_rate: float | None = None
    out_rate: float | None = None
    oldest_seconds: float | None = None
    active: str | None = None


async def details(management_url: str, rabbitmq_url: str) -> Mapping[str, Detail] | str:
    """By queue, for the virtual host of the AMQP URL; or a sentence that says why there are none."""
    host = host_of(rabbitmq_url)
    told = await asked(management_url, f"queues/{host}", f"consumers/{host}")
    if isinstance(told, str):
        return told
    queues, consumers = told
    active = {one["queue"]["name"]: _worker(one["consumer_tag"]) for one in consumers if one.get("active")}
    return {queue["name"]: _detail(queue, active) for queue in queues}


async def asked(management_url: str, *resources: str) -> list[Any] | str:
    """What the API answers to each; or a sentence that says why it does not."""
    try:
        address = httpx.URL(management_url)
        bare = str(address.copy_with(username=None, password=None)).rstrip("/")
        auth = httpx.BasicAuth(address.username, address.password)
        async with httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT_SECONDS, auth=auth) as client:
            return [(await client.get(f"{bare}/api/{name}")).raise_for_status().json() for name in resources]
    except httpx.HTTPStatusError as refused:
        return (
            f"the management API answered {refused.response.status_code}: is the password in"
            " HEROES_RABBITMQ_MANAGEMENT_URL right, and has this user the tag monitoring?"
        )
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return f"the management API does not answer ({type(error).__name__}): HEROES_RABBITMQ_MANAGEMENT_URL"


def host_of(rabbitmq_url: str) -> str:
    """Its virtual host, as it stands in the API's addresses."""
    return quote(URL(rabbitmq_url).path[1:] or "/", safe="")


def _detail(queue: Mapping[str, Any], active: Mapping[str, str]) -> Detail:
    rates = queue.get("message_stats", {})
    head = queue.get("head_message_timestamp")
    return Detail(
        queue.get("messages_unacknowledged"),
        _rate(rates, "publish"),
        _rate(rates, "ack"),
        max(0.0, datetime.now(UTC).timestamp() - head) if isinstance(head, int | float) else None,
        active.get(queue["name"]),
    )


def _rate(rates: Mapping[str, Any], name: str) -> float | None:
    rate = rates.get(f"{name}_details", {}).get("rate")
    return float(rate) if isinstance(rate, int | float) else None


def _worker(tag: str) -> str:
    """The worker's own name, where it is a worker."""
    return tag.rpartition(TAG_SEPARATOR)[0] or tag
