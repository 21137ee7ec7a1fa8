"""Requests are counted by the names of routes."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route

from gateway.api.traffic import NOT_ANSWERED, Traffic


async def _show(_: Request) -> Response:
    return Response("x")


async def _fail(_: Request) -> Response:
    raise RuntimeError("broken")


async def _stream(_: Request) -> Response:
    async def parts():
        yield b"a"
        yield b"b"

    return StreamingResponse(parts(), 206)


ROUTES = [
    Route("/items/{name}", _show, name="item"),
    Mount("/udf", routes=[Route("/config", _show, name="udf_config")]),
    Route("/fail", _fail, name="fail"),
    Route("/stream", _stream, name="stream"),
]


async def counted(*paths: str, method: str = "GET") -> Traffic:
    traffic = Traffic()
    transport = httpx.ASGITransport(traffic.counted(Starlette(routes=ROUTES)), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        for path in paths:
            await http.request(method, path)
    return traffic


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/items/7", ("item", 200)),
        ("/udf/config", ("udf_config", 200)),
        ("/udf/nothing", ("/udf", 404)),
        ("/nothing/at/all", ("none", 404)),
        ("/fail", ("fail", 500)),
        ("/stream", ("stream", 206)),
    ],
)
async def test_a_request_is_counted_under_its_route_and_status(path, found):
    traffic = await counted(path)
    assert traffic.answers == {found: 1}
    assert {route: one.count for route, one in traffic.latencies.items()} == {found[0]: 1}


async def test_no_client_can_make_up_names():
    traffic = await counted(*[f"/items/{number}" for number in range(50)], *[f"/{n}" for n in range(50)])
    assert traffic.answers == {("item", 200): 50, ("none", 404): 50}


async def test_a_method_that_a_route_has_not_is_counted_under_it():
    assert (await counted("/items/7", method="BREW")).answers == {("item", 405): 1}


async def test_a_request_that_ends_without_an_answer_is_counted():
    traffic = Traffic()

    async def leave(scope, receive, send) -> None: ...

    await traffic.counted(leave)({"type": "http"}, None, None)  # type: ignore[arg-type]  # neither is called
    assert traffic.answers == {("none", NOT_ANSWERED): 1}
