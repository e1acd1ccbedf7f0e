"""The HTTP port answers whatever happens in the worker's loop, and never with more than it should."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import httpx
import pytest
import pytest_asyncio

from worker.errors import SettingsError
from worker.observability.http import HttpServer, Page, Query

STUCK_AFTER_SECONDS = 0.4
DEADLINE_SECONDS = 20


async def _well(_: Query) -> Page:
    return Page(b"well", content_type="text/plain", headers={"x-own": "1"})


async def _echo(query: Query) -> Page:
    return Page.of(query)


async def _broken(_: Query) -> Page:
    raise ValueError("a secret")


@pytest_asyncio.fixture(loop_scope="session")
async def server() -> AsyncIterator[HttpServer]:
    pages = {"/well": _well, "/broken": _broken, "/echo": _echo}
    made = HttpServer("127.0.0.1", 0, pages, STUCK_AFTER_SECONDS, {"/echo": Page(b"restart me", 503)})
    await made.start()
    yield made
    await made.stop()


def _get(url: str, method: str = "GET") -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=DEADLINE_SECONDS) as client:
        return client.request(method, url)


async def _asked(url: str, method: str = "GET") -> httpx.Response:
    return await asyncio.to_thread(_get, url, method)


def _until(url: str, status: int) -> httpx.Response:
    deadline = monotonic() + DEADLINE_SECONDS
    while (answer := _get(url)).status_code != status:
        assert monotonic() < deadline, f"never {status}: {answer.text}"
    return answer


async def test_while_the_loop_is_stuck_the_port_says_so_and_afterwards_all_is_well(server: HttpServer) -> None:
    assert (await _asked(f"{server.url}/livez")).json() == {"status": "alive"}
    with ThreadPoolExecutor() as pool:
        # The loop itself stands still here until somebody else has seen it.
        answer = pool.submit(_until, f"{server.url}/livez", 503).result()
    assert answer.json()["status"] == "stuck"
    assert answer.json()["event_loop_silent_seconds"] >= STUCK_AFTER_SECONDS
    await asyncio.to_thread(_until, f"{server.url}/livez", 200)


async def test_while_the_loop_is_stuck_a_page_may_have_something_better_to_say(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.observability.http._PAGE_TIMEOUT_SECONDS", 0.05)
    with ThreadPoolExecutor() as pool:  # the loop itself stands still here until both are answered
        told = pool.submit(_get, f"{server.url}/echo").result()
        plain = pool.submit(_get, f"{server.url}/well").result()
    assert (told.status_code, told.text) == (503, "restart me")
    assert plain.json() == {"status": "the worker's event loop gave no answer in time"}


async def test_a_page_is_made_in_the_workers_own_loop(server: HttpServer) -> None:
    answer = await _asked(f"{server.url}/well")
    assert (answer.status_code, answer.text) == (200, "well")
    assert answer.headers["content-type"] == "text/plain"
    assert (answer.headers["x-own"], answer.headers["cache-control"]) == ("1", "no-store")


async def test_a_page_that_fails_says_no_more_than_that(server: HttpServer) -> None:
    answer = await _asked(f"{server.url}/broken")
    assert answer.status_code == 500
    assert "secret" not in answer.text


async def test_an_unknown_path_tells_the_known_ones(server: HttpServer) -> None:
    answer = await _asked(f"{server.url}/nowhere")
    assert answer.status_code == 404
    assert answer.json() == {"paths": ["/livez", "/well", "/broken", "/echo"]}


async def test_nothing_can_be_changed_there(server: HttpServer) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        answer = await _asked(f"{server.url}/well", method)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_head_is_answered_like_get_but_for_the_body(server: HttpServer) -> None:
    whole, head = await _asked(f"{server.url}/well"), await _asked(f"{server.url}/well", "HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert {**head.headers, "date": ""} == {**whole.headers, "date": ""}


async def test_a_page_is_told_what_stands_behind_the_question_mark_as_far_as_it_can_be_read(server: HttpServer) -> None:
    assert (await _asked(f"{server.url}/echo?refresh=off&a=%3Cb%3E&a=2")).json() == {"refresh": "off", "a": "2"}
    assert (await _asked(f"{server.url}/echo?{'a=b&' * 100}")).json() == {}
    assert (await _asked(f"{server.url}/echo?%ff%00=%ff&&=;")).status_code == 200


async def test_a_port_that_is_taken_is_said_with_the_setting(server: HttpServer) -> None:
    port = int(server.url.rpartition(":")[2])
    with pytest.raises(SettingsError, match="HEROES_HTTP_PORT"):
        HttpServer("127.0.0.1", port, {})
