import gzip

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from gateway.accounts.errors import AccountsDown, NotLoggedIn
from gateway.api.answers import LONG_BYTES, Bodies, Body
from gateway.api.params import BadParameter
from gateway.api.refusals import REFUSALS, NotAllowed, NotThere, NotYet, TooOften, refusal_of
from gateway.api.udf.mount import _explain, _fail
from gateway.history.questions import HistoryUnavailable, WindowTooLong
from gateway.metadata.errors import DoesNotFit, MetadataDown, OtherSymbols, WatchlistFull
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
    made = {
        BadParameter("from", "is wrong"): 400,
        HistoryUnavailable("away"): 503,
        HTTPException(405, headers={"Allow": "GET"}): 405,
        NotAllowed("scope_missing", "no"): 403,
        NotThere("feature_off", "off"): 404,
        TooOften("too_many_requests", "wait", 1.5): 429,
        NotYet("no_price_yet", "none"): 503,
        UnknownSymbol("X"): 404,
        WindowTooLong(): 400,
        NotLoggedIn(): 401,
        AccountsDown(5.0): 503,
        MetadataDown("Postgres at db", "no answer"): 503,
        WatchlistFull(500): 409,
        OtherSymbols(["A"], []): 409,
        DoesNotFit("the name", "is too long"): 400,
    }
    refusals = {refusal_of(error): status for error, status in made.items()}
    assert [one.status for one in refusals] == list(made.values())
    assert all(one.error and one.message for one in refusals)
    assert all(any(isinstance(error, kind) for error in made) for kind in REFUSALS)
    with pytest.raises(KeyError):
        refusal_of(KeyError("a bug is not a refusal"))


def test_a_refusal_says_when_to_come_again_and_how_to_get_in():
    assert refusal_of(TooOften("too_many_requests", "wait", 1.2)).headers["Retry-After"] == "2"
    assert refusal_of(NotLoggedIn()).headers["WWW-Authenticate"] == "Bearer"
    assert "Set-Cookie" not in refusal_of(NotLoggedIn()).headers
    assert "session_token=;" in refusal_of(NotLoggedIn(by_cookie=True)).headers["Set-Cookie"]


def test_nobody_is_told_where_the_database_is():
    assert (
        "db.internal"
        not in refusal_of(MetadataDown("Postgres at db.internal", "db.internal is away")).message
    )


async def test_a_chart_is_given_a_reason_even_for_a_bug():
    async def fall(_request):
        raise KeyError("a bug")

    handlers = {HTTPException: _explain, Exception: _fail}
    app = Starlette(routes=[Route("/", fall)], exception_handlers=handlers)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        answer = await http.get("/")
    assert (answer.status_code, answer.json()["s"]) == (500, "error")
    assert answer.json()["errmsg"]
