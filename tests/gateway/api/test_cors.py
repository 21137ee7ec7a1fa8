"""What pages of other origins are told, by a browser's rules."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from gateway.api.cors import Cors, CorsRules, OpenArea
from gateway.api.origins import Origins

APP, OTHER, EVIL = "https://app.example.com", "http://localhost:5173", "https://evil.example"
AREA = OpenArea("/udf", ("ETag", "X-As-Of"))


async def fine(_):
    return PlainTextResponse("fine", headers={"Vary": "Accept-Encoding"})


async def refuse(_):
    raise HTTPException(429)


async def fail(_):
    raise RuntimeError("a mistake")


def ask_of(listed: tuple[str, ...], rules: CorsRules | None = None, areas: tuple[OpenArea, ...] = (AREA,)):
    routes = [Route("/refuse", refuse), Route("/fail", fail), Route("/{path:path}", fine)]
    app = Cors(Starlette(routes=routes), Origins(listed), rules or CorsRules(), areas)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    http = httpx.AsyncClient(transport=transport, base_url="http://api.example.com")

    async def ask(path: str, origin: str | None, method: str = "GET", **headers: str) -> httpx.Response:
        own = {"Origin": origin} if origin else {}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await http.request(method, path, headers=own | named)

    return ask


def reader_of(answer: httpx.Response) -> str | None:
    return answer.headers.get("access-control-allow-origin")


async def test_every_listed_origin_may_read_and_no_other():
    ask = ask_of((APP, OTHER))
    for origin, reader in ((APP, APP), (OTHER, OTHER), (EVIL, None), ("null", None), (None, None)):
        answer = await ask("/a", origin)
        assert (answer.status_code, reader_of(answer)) == (200, reader)
        assert answer.headers["vary"] == "Accept-Encoding, Origin"
        assert "access-control-allow-credentials" not in answer.headers


async def test_answers_that_are_errors_may_be_read_too():
    ask = ask_of((APP,))
    for path, status in (("/refuse", 429), ("/fail", 500)):
        answer = await ask(path, APP)
        assert (answer.status_code, reader_of(answer)) == (status, APP)
        assert answer.headers["access-control-expose-headers"] == "ETag, Retry-After"


async def test_with_a_star_everybody_may_read_without_cookies():
    ask = ask_of(("*",), CorsRules(credentials=True))
    answer = await ask("/a", EVIL)
    assert reader_of(answer) == "*"
    assert "access-control-allow-credentials" not in answer.headers
    assert answer.headers["vary"] == "Accept-Encoding"


async def test_beside_a_star_a_listed_origin_may_send_cookies():
    ask = ask_of(("*", APP), CorsRules(credentials=True))
    answer = await ask("/a", APP)
    assert (reader_of(answer), answer.headers["access-control-allow-credentials"]) == (APP, "true")
    answer = await ask("/a", EVIL)
    assert (reader_of(answer), answer.headers["vary"]) == ("*", "Accept-Encoding, Origin")
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_page_that_asks_first_is_told_what_it_may(method):
    ask = ask_of((APP,), CorsRules(credentials=True))
    answer = await ask("/a", APP, "OPTIONS", Access_Control_Request_Method=method)
    assert (answer.status_code, answer.content, reader_of(answer)) == (204, b"", APP)
    assert method in answer.headers["access-control-allow-methods"].split(", ")
    assert "Authorization" in answer.headers["access-control-allow-headers"].split(", ")
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-max-age"] == "7200"
    assert answer.headers["vary"] == "Origin"


async def test_a_page_that_may_not_is_told_so_when_it_asks_first():
    ask = ask_of((APP,))
    answer = await ask("/a", EVIL, "OPTIONS", Access_Control_Request_Method="POST")
    assert (answer.status_code, reader_of(answer)) == (403, None)
    assert answer.json()["error"] == "origin_not_allowed"
    assert "access-control-allow-methods" not in answer.headers


async def test_an_open_area_may_be_read_by_everybody_and_only_read():
    ask = ask_of(())
    for origin in (EVIL, "null", None):
        answer = await ask("/udf/history", origin)
        assert (reader_of(answer), answer.headers["vary"]) == ("*", "Accept-Encoding")
        assert answer.headers["access-control-expose-headers"] == "ETag, Retry-After, X-As-Of"
    answer = await ask("/udf/history", EVIL, "OPTIONS", Access_Control_Request_Method="GET")
    assert (answer.status_code, answer.headers["access-control-allow-methods"]) == (204, "GET, HEAD")
    assert reader_of(await ask("/udfs", EVIL)) is None
    assert reader_of(await ask("/a", EVIL)) is None


async def test_a_listed_origin_may_do_in_an_open_area_what_it_may_elsewhere():
    ask = ask_of((APP,), CorsRules(credentials=True))
    answer = await ask("/udf/history", APP)
    assert (reader_of(answer), answer.headers["access-control-allow-credentials"]) == (APP, "true")
    assert (await ask("/udf/history", EVIL)).headers["vary"] == "Accept-Encoding, Origin"


async def test_without_any_of_it_answers_are_as_they_were():
    ask = ask_of((), areas=())
    answer = await ask("/a", EVIL)
    assert answer.headers["vary"] == "Accept-Encoding"
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_nothing_of_an_origin_that_is_not_listed_comes_back():
    ask = ask_of((APP,))
    answer = await ask("/a", f"{APP}.evil.example")
    assert "evil" not in str(answer.headers)
