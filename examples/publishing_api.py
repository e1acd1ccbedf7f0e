"""An HTTP service that sends commands: `POST /heroes` answers 202 with the command's id, or waits for the outcome.

The caller may choose the id (header `Idempotency-Key`): the same request sent again is the same command, and takes
effect once. Run it: HEROES_RABBITMQ_URL=… uvicorn --factory examples.publishing_api:create_app
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

from fastapi import FastAPI, Header, HTTPException, Query, Request, Response, status

from contracts.client import (
    CommandDeadLetteredError,
    CommandRejectedError,
    HeroesClient,
    NotConfirmedError,
    OutcomeTimeoutError,
)
from contracts.heroes import CreateHero, CreateHeroData

SOURCE = "/publishing-api"

_Key = Annotated[UUID | None, Header(alias="Idempotency-Key")]
_Wait = Annotated[bool, Query(description="Wait until the hero is there, instead of only until it is ordered.")]


def create_app(url: str | None = None, timeout_seconds: float = 10) -> FastAPI:
    """The application; it is connected to the broker for as long as it runs."""

    @asynccontextmanager
    async def connected(app: FastAPI) -> AsyncIterator[None]:
        broker_url = url or os.environ["HEROES_RABBITMQ_URL"]
        async with HeroesClient(broker_url, source=SOURCE, timeout_seconds=timeout_seconds) as client:
            app.state.client = client
            yield

    app = FastAPI(title="Heroes", lifespan=connected)
    app.post("/heroes", status_code=status.HTTP_202_ACCEPTED)(post_hero)
    return app


async def post_hero(
    request: Request, response: Response, data: CreateHeroData, key: _Key = None, wait: _Wait = False
) -> dict[str, Any]:
    """202: ordered, watch the events for its `causationid`. 201: it is there. 503: unknown, send the same again."""
    client: HeroesClient = request.app.state.client
    command = CreateHero.new(data, source=SOURCE, **({"id": str(key)} if key else {}))
    try:
        if not wait:
            await client.send(command)
            return {"command_id": command.id}
        event = await client.applied(command)
    except CommandRejectedError as no:
        raise HTTPException(status.HTTP_409_CONFLICT, {"code": no.code, "detail": no.detail}) from None
    except CommandDeadLetteredError as aside:
        known = {"id_reused": "this key came with other content before: take a new one"}
        detail = known.get(aside.reason, "set aside, for the worker's operators to see")
        told = {"reason": aside.reason, "detail": detail}
        raise HTTPException(status.HTTP_422_UNPROCESSABLE_CONTENT, told) from None
    except (NotConfirmedError, OutcomeTimeoutError) as unknown:
        told = {"command_id": unknown.command_id, "detail": "unknown: send the same request again with this key"}
        raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, told) from None
    response.status_code = status.HTTP_201_CREATED
    return {"command_id": command.id, "hero": event.model_dump(mode="json")["data"]["hero"]}
