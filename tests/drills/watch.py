"""Looks at a worker's health and at Prometheus' alerts all the time, and tells each change when it comes."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.drills.screen import Screen
from tests.faults.clock import Clock
from tests.harness.stage import eventually

LOOK_EVERY_SECONDS = 1.0
PAGE_SECONDS = 6
NOBODY = "nobody answers"
MOST_TOLD = 4

Alerts = Sequence[Mapping[str, Any]]


@dataclass(slots=True)
class Watch:
    """What was seen last."""

    screen: Screen
    site: str
    prometheus: str
    client: httpx.AsyncClient
    livez: str = ""
    readyz: str = ""
    alerts: Mapping[str, str] | None = None

    @classmethod
    @asynccontextmanager
    async def over(cls, screen: Screen, site: str, prometheus: str) -> AsyncIterator["Watch"]:
        """It looks meanwhile."""
        async with httpx.AsyncClient(trust_env=False, timeout=PAGE_SECONDS) as client:
            watch = cls(screen, site, prometheus, client)
            looks = (watch._look_at_livez, watch._look_at_readyz, watch._look_at_alerts)
            tasks = [asyncio.create_task(_again_and_again(look)) for look in looks]
            try:
                yield watch
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)

    async def is_ready(self) -> None:
        """/readyz says so, and no alert is left."""
        await self.until(lambda: self.readyz.startswith("200"), "the worker is ready")

    async def all_clear(self) -> None:
        """Ready, and no alert fires or is about to."""
        await self.is_ready()
        await self.until(lambda: self.alerts == {}, "no alert is left", within_seconds=300)

    async def fires(self, *names: str, within_seconds: float = 120) -> None:
        """Each of these alerts fires."""

        def all_fire() -> bool:
            return all((self.alerts or {}).get(name) == "firing" for name in names)

        await self.until(all_fire, f"{names} fire", within_seconds=within_seconds)

    async def until(self, true: Callable[[], bool], what: str, within_seconds: float = 90) -> None:
        """It came to be."""

        async def is_true() -> bool:
            return true()

        await eventually(is_true, what, within_seconds=within_seconds)

    async def passed(self, seconds: float) -> None:
        """So much time is over: what lasts is shown by letting it last."""
        await Clock().passed(seconds)

    async def _look_at_livez(self) -> None:
        seen = await self._page("/livez")
        was, self.livez = self.livez, seen
        if _without_numbers(seen) != _without_numbers(was):
            self.screen.says(f"/livez  {seen}")

    async def _look_at_readyz(self) -> None:
        seen = await self._page("/readyz")
        if seen != self.readyz:
            self.readyz = seen
            self.screen.says(f"/readyz {seen}")

    async def _page(self, path: str) -> str:
        try:
            answer = await self.client.get(f"{self.site}{path}")
        except httpx.TransportError:
            return NOBODY
        parts = {name: said for name, said in answer.json().items() if said != "ok"}
        return f"{answer.status_code} " + "; ".join(f"{name}: {said}" for name, said in parts.items())

    async def _look_at_alerts(self) -> None:
        listed = (await self.client.get(f"{self.prometheus}/api/v1/alerts")).json()["data"]["alerts"]
        seen, before = _states(listed), self.alerts or {}
        for name, state in seen.items():
            if before.get(name) != state:
                self.screen.says(f"alert   {name} {state}{_about(name, listed)}")
        for name in before.keys() - seen.keys():
            self.screen.says(f"alert   {name} is over")
        self.alerts = seen


def _states(listed: Alerts) -> Mapping[str, str]:
    """Of each alert the worst, however many of it there are."""
    by_name: dict[str, set[str]] = {}
    for one in listed:
        by_name.setdefault(one["labels"]["alertname"], set()).add(one["state"])
    return {name: "firing" if "firing" in states else "pending" for name, states in by_name.items()}


def _about(name: str, listed: Alerts) -> str:
    every = [one["labels"] for one in listed if one["labels"]["alertname"] == name]
    told = sorted({labels[label] for labels in every for label in ("part", "queue", "connection") if label in labels})
    more = f" and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
    return f": {', '.join(told[:MOST_TOLD])}{more}" if told else ""


def _without_numbers(text: str) -> str:
    return re.sub(r"\d+\.\d+", "", text)


async def _again_and_again(look: Callable[[], Awaitable[None]]) -> None:
    while True:
        await look()
        await asyncio.sleep(LOOK_EVERY_SECONDS)
