"""Who is let through to an operation, and who is not."""

import pytest
from account_rig import ADDRESS
from app_with_accounts import LISTED, OWN, PROXY, open_guarded

from gateway.accounts.identity import Scope
from gateway.accounts.tokens import new_token
from gateway.api.limits import Rate
from gateway.api.operations import Limit
from processors.bus import BusAddress, connect

ELSEWHERE = "https://evil.example.com"
CHANGE = {"wanted": True}


@pytest.fixture
async def bus(nats_url):
    async with connect(BusAddress([nats_url]), "guard") as connected:
        yield connected


@pytest.fixture
async def closed(tmp_path, bus):
    """Everybody has to log in."""
    async with open_guarded(tmp_path, bus) as opened:
        yield opened


@pytest.fixture
async def public(tmp_path, bus):
    """Anybody may read."""
    async with open_guarded(tmp_path, bus, anonymous=True) as opened:
        yield opened


async def test_anybody_may_read_where_that_is_allowed_and_nobody_more(public):
    assert (await public.ask("GET", "/read")).json() == {"user": ""}
    for path in ("/watch", "/operate"):
        answer = await public.ask("GET", path)
        assert (answer.status_code, answer.json()["error"]) == (401, "not_logged_in")
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_nobody_reads_without_logging_in_where_that_is_not_allowed(closed):
    assert (await closed.ask("GET", "/read")).status_code == 401
    assert (await closed.ask("GET", "/open")).json() == {"user": ""}


async def test_a_session_is_known_by_its_cookie_and_by_either_header(closed):
    token = (await closed.log_in(cookie=False)).json()["token"]
    for headers in (
        {"Cookie": f"a=b; session_token={token}"},
        {"Authorization": f"Bearer {token}"},
        {"X-Session-Token": token},
    ):
        assert (await closed.ask("GET", "/read", headers=headers)).json() == {"user": "ann"}


async def test_of_a_bearer_and_a_cookie_the_bearer_counts(closed):
    cookie, bearer = await closed.cookie(), await closed.bearer()
    wrong = {"Authorization": f"Bearer {new_token()}"}
    assert (await closed.ask("GET", "/read", headers=cookie | wrong)).status_code == 401
    wrong_cookie = {"Cookie": f"session_token={new_token()}"}
    assert (await closed.ask("GET", "/read", headers=wrong_cookie | bearer)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        [(b"cookie", b"session_token=\xff\xfe")],
        [(b"cookie", b"session_token=" + b"x" * 100_000)],
        [(b"cookie", b"session_token=';DROP TABLE users;--")],
        [(b"cookie", b";;=;session_token=a=b=c")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"Bearer \xe9\xe9\xe9")],
        [(b"authorization", b"Bearer " + b"a" * 43)],
        [(b"authorization", b"Bearer tg_000000000000_" + b"a" * 43)],
        [(b"x-session-token", b"")],
    ],
)
async def test_a_token_that_is_worth_nothing_is_401_even_where_anybody_may_read(public, headers):
    answer = await public.ask("GET", "/read", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["cache-control"] == "no-store"


async def test_a_cookie_that_is_worth_nothing_is_taken_away(public):
    wrong = {"Cookie": f"session_token={new_token()}"}
    answer = await public.ask("GET", "/read", headers=wrong)
    assert answer.headers["set-cookie"].startswith("session_token=; ")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    bearer = await public.ask("GET", "/read", headers={"Authorization": f"Bearer {new_token()}"})
    assert "set-cookie" not in bearer.headers


async def test_a_key_reaches_what_its_scopes_are_for(closed):
    reads, operates = await closed.key(Scope.READ), await closed.key(Scope.OPERATE)
    assert (await closed.ask("GET", "/read", headers=reads)).status_code == 200
    assert (await closed.ask("GET", "/operate", headers=operates)).status_code == 200
    for path, key in (("/operate", reads), ("/watch", reads), ("/read", operates)):
        answer = await closed.ask("GET", path, headers=key)
        assert (answer.status_code, answer.json()["error"]) == (403, "scope_missing")


async def test_symbols_that_are_not_open_to_a_user_are_403(closed):
    await closed.rig.register.set_symbols(await closed.rig.register.find("ann"), ["BTC*"])
    bearer = await closed.bearer()
    assert (await closed.ask("GET", "/price/btcusdt", headers=bearer)).status_code == 200
    assert (await closed.ask("GET", "/prices?symbols=BTCUSDT,BTCEUR", headers=bearer)).status_code == 200
    assert (await closed.ask("GET", "/prices", headers=bearer)).status_code == 200
    for path in ("/price/ETHUSDT", "/price/OTHER:BTCUSDT", "/prices?symbols=BTCUSDT,ETHUSDT"):
        answer = await closed.ask("GET", path, headers=bearer)
        assert (answer.status_code, answer.json()["error"]) == (403, "symbol_not_allowed")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"Origin": OWN}, 200),
        ({"Origin": LISTED}, 200),
        ({"Origin": ELSEWHERE}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ELSEWHERE, "Referer": f"{OWN}/page", "Sec-Fetch-Site": "same-origin"}, 403),
        ({"Referer": f"{OWN}/page?x=1"}, 200),
        ({"Referer": f"{ELSEWHERE}/{OWN}"}, 403),
        ({"Referer": "http://["}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({}, 200),  # no browser
    ],
)
async def test_a_change_by_cookie_has_to_come_from_a_page_that_is_allowed(closed, said, status):
    answer = await closed.ask("POST", "/change", json=CHANGE, headers=await closed.cookie() | said)
    assert answer.status_code == status, answer.text


async def test_a_change_by_a_token_in_a_header_asks_for_no_origin(closed):
    for headers in (await closed.bearer(), await closed.key(Scope.WATCH)):
        assert (await closed.ask("POST", "/change", json=CHANGE, headers=headers)).status_code == 200


async def test_reading_by_cookie_asks_for_no_origin(closed):
    headers = await closed.cookie() | {"Origin": ELSEWHERE}
    assert (await closed.ask("GET", "/read", headers=headers)).status_code == 200


async def test_what_belongs_to_a_user_is_kept_by_no_shared_cache(public):
    anybody = await public.ask("GET", "/kept")
    own = await public.ask("GET", "/kept", headers=await public.bearer())
    assert anybody.headers["cache-control"] == "public, max-age=60"
    assert own.headers["cache-control"] == "private, max-age=60"
    for answer in (anybody, own):
        varies = {one.strip().lower() for one in answer.headers["vary"].split(",")}
        assert varies == {"accept-encoding", "authorization", "cookie", "x-session-token"}
    plain = await public.ask("GET", "/read", headers=await public.bearer())
    assert plain.headers["cache-control"] == "private"


async def test_head_is_get_without_a_body(closed):
    headers = await closed.bearer()
    answer = await closed.ask("HEAD", "/read", headers=headers)
    assert answer.status_code == 200
    assert (await closed.ask("HEAD", "/read")).status_code == 401


async def test_another_method_is_405_and_all_that_are_there_are_named(closed):
    answer = await closed.ask("PATCH", "/api/v1/auth/sessions")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, HEAD")


async def test_a_body_of_another_shape_is_400_and_says_what_is_wrong(closed):
    headers = await closed.bearer()
    for body in (
        b"",
        b"{",
        b"\xff",
        b"[" * 10_000,
        b'{"wanted":1}',
        b'{"wanted":true,"more":1}',
        b'{"wanted":"\\ud800"}',
    ):
        answer = await closed.ask("POST", "/change", content=body, headers=headers)
        assert (answer.status_code, answer.json()["parameter"]) == (400, "body")


async def test_a_user_counts_as_one_wherever_they_ask_from(tmp_path, bus):
    async with open_guarded(tmp_path, bus, {Limit.HISTORY: Rate(0.001, 2)}) as guarded:
        headers = await guarded.bearer()
        for peer in ("192.0.2.1", "192.0.2.2"):
            assert (await guarded.ask("GET", "/read", peer, headers=headers)).status_code == 200
        refused = await guarded.ask("GET", "/read", "192.0.2.3", headers=headers)
        assert (refused.status_code, refused.json()["error"]) == (429, "too_many_requests")
        assert int(refused.headers["retry-after"]) > 0
        assert (await guarded.ask("GET", "/read", headers=await guarded.key(Scope.READ))).status_code == 200


async def test_who_is_refused_counts_too(tmp_path, bus):
    async with open_guarded(tmp_path, bus, {Limit.HISTORY: Rate(0.001, 2)}) as guarded:
        wrong = {"Authorization": f"Bearer {new_token()}"}
        statuses = [(await guarded.ask("GET", "/read", headers=wrong)).status_code for _ in range(3)]
        assert statuses == [401, 401, 429]


async def test_guessing_tokens_is_slowed_down(closed):
    statuses = set()
    for _ in range(60):
        wrong = {"Authorization": f"Bearer {new_token()}"}
        statuses.add((await closed.ask("GET", "/read", headers=wrong)).status_code)
    assert statuses == {401, 429}


async def test_while_sql_is_away_a_token_that_is_not_known_is_503(public):
    with public.rig.sql_is_away():
        wrong = {"Authorization": f"Bearer {new_token()}"}
        answer = await public.ask("GET", "/read", headers=wrong)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert (await public.ask("GET", "/read")).status_code == 200


async def test_behind_a_proxy_the_origin_is_compared_with_the_host_that_was_asked_there(closed):
    headers = await closed.cookie() | {"Origin": "https://prices.example.com"}
    forwarded = headers | {"X-Forwarded-Host": "prices.example.com"}
    assert (await closed.ask("POST", "/change", PROXY, json=CHANGE, headers=forwarded)).status_code == 200
    assert (await closed.ask("POST", "/change", ADDRESS, json=CHANGE, headers=forwarded)).status_code == 403
