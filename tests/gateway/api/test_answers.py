import gzip

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

from gateway.api.answers import LONG_BYTES, Bodies, Body
from gateway.api.refusals import REFUSALS, NotThere, NotYet, refusal_of
from gateway.api.udf.form import AnyOrigin
from gateway.api.udf.mount import _explain, _fail
from gateway.history.questions import HistoryUnavailable, WindowTooLong
from protocol.errors import UnknownSymbol


def make(text: bytes) -> Body:
    return Body(text)


def test_a_body_is_made_once_for_the_same_bars():
    bodies = Bodies()
    first = bodies.get("a", lambda: make(b"1"))
    assert bodies.get("a", lambda: make(b"2")) is first
    assert bodies.made == 1


def test_full_means_that_bodies_not_sent_for_longest_go():
    bodies = Bodies(max_bytes=4 * 100)
    for name in ("a", "b"):
        bodies.get(name, lambda: make(bytes(100)))
    bodies.get("a", lambda: make(bytes(100)))
    bodies.get("c", lambda: make(bytes(100)))
    assert bodies.made == 3
    bodies.get("a", lambda: make(bytes(100)))
    assert bodies.made == 3
    bodies.get("b", lambda: make(bytes(100)))
    assert bodies.made == 4


def test_a_body_that_is_larger_than_all_that_is_kept_is_sent_even_so():
    bodies = Bodies(max_bytes=10)
    assert bodies.get("a", lambda: make(bytes(100))).plain == bytes(100)
    assert bodies.get("b", lambda: make(b"1")).plain == b"1"


def test_the_tag_is_of_the_content_and_not_of_what_stands_around_it():
    bars = make(b"[1]")
    assert Body(b"[1] at 5", bars.tag).tag == bars.tag == make(b"[1]").tag
    assert make(b"[2]").tag != bars.tag


@pytest.mark.parametrize("size", [10_000, LONG_BYTES + 1])
async def test_a_packed_body_is_the_same(size):
    text = bytes(range(256)) * (size // 256 + 1)
    body = make(text)
    assert gzip.decompress(await body.packed()) == text
    assert await body.packed() is await body.packed()


def test_every_refusal_has_a_status_and_words():
    made = [
        HistoryUnavailable("away"),
        HTTPException(405, headers={"Allow": "GET"}),
        NotThere("feature_off", "off"),
        NotYet("no_price_yet", "none"),
        UnknownSymbol("X"),
        WindowTooLong(),
    ]
    refusals = [refusal_of(error) for error in made]
    assert [one.status for one in refusals] == [503, 405, 404, 503, 404, 400]
    assert all(one.error and one.message for one in refusals)
    assert {type(error) for error in made} >= {*REFUSALS} - {REFUSALS[0]}
    with pytest.raises(KeyError):
        refusal_of(KeyError("a bug is not a refusal"))


async def test_a_chart_is_given_a_reason_even_for_a_bug():
    async def fall(_request):
        raise KeyError("a bug")

    handlers = {HTTPException: _explain, Exception: _fail}
    app = AnyOrigin(Starlette(routes=[Route("/", fall)], exception_handlers=handlers))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        answer = await http.get("/")
    assert (answer.status_code, answer.json()["s"]) == (500, "error")
    assert answer.json()["errmsg"]
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_every_page_may_read_what_is_answered():
    async def answer(_request):
        return JSONResponse({})

    transport = httpx.ASGITransport(AnyOrigin(Starlette(routes=[Route("/", answer)])))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        assert (await http.get("/")).headers["access-control-allow-origin"] == "*"
        assert (await http.options("/")).status_code == 204
