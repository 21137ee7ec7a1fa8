"""Logging in and out over HTTP."""

import pytest
from account_rig import ADDRESS, PASSWORD
from app_with_accounts import LISTED, OWN, PROXY, open_guarded

from gateway.accounts.credentials import COOKIE
from gateway.accounts.identity import Scope
from processors.bus import BusAddress, connect

LOGIN, SESSION = "/api/v1/auth/login", "/api/v1/auth/session"
LOGOUT, SESSIONS = "/api/v1/auth/logout", "/api/v1/auth/sessions"
CHANGE_PASSWORD = "/api/v1/auth/password"
BODY = {"username": "ann", "password": PASSWORD}


@pytest.fixture
async def guarded(tmp_path, nats_url):
    async with (
        connect(BusAddress([nats_url]), "auth") as bus,
        open_guarded(tmp_path, bus, anonymous=True, session_longest_s=1_000.0, login_attempts=3) as opened,
    ):
        yield opened


async def test_a_login_sets_a_cookie_and_says_who_it_is(guarded):
    answer = await guarded.log_in()
    body = answer.json()
    assert body.keys() == {"session_id", "user", "expires", "scopes", "symbols"}
    assert (body["user"], body["symbols"]) == ("ann", [])
    assert body["expires"] > guarded.rig.clock.now_ms
    name_and_token, *rest = answer.headers["set-cookie"].split("; ")
    assert name_and_token == f"{COOKIE}={answer.cookies[COOKIE]}"
    assert {one.lower() for one in rest} == {"httponly", "max-age=1000", "path=/", "samesite=lax"}
    assert answer.headers["cache-control"] == "no-store"
    assert answer.cookies[COOKIE] not in answer.text


@pytest.mark.parametrize(("peer", "is_secure"), [(PROXY, True), (ADDRESS, False)])
async def test_the_cookie_is_secure_if_a_trusted_proxy_says_https(guarded, peer, is_secure):
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": ADDRESS}
    answer = await guarded.ask("POST", LOGIN, peer, json=BODY, headers=headers)
    assert ("secure" in answer.headers["set-cookie"].lower()) is is_secure


async def test_the_cookie_is_secure_over_tls(guarded):
    async with guarded.client() as http:
        answer = await http.post(f"https://gateway{LOGIN}", json=BODY)
    assert "secure" in answer.headers["set-cookie"].lower()


async def test_a_program_gets_the_token_and_no_cookie(guarded):
    answer = await guarded.log_in(cookie=False)
    assert "set-cookie" not in answer.headers
    bearer = {"Authorization": f"Bearer {answer.json()['token']}"}
    assert (await guarded.ask("GET", SESSION, headers=bearer)).json()["user"] == "ann"


async def test_the_address_and_the_program_are_on_record(guarded):
    headers = [(b"X-Forwarded-For", b"198.51.100.9"), (b"User-Agent", b"a browser\t\xe9")]
    login = await guarded.ask("POST", LOGIN, PROXY, json=BODY | {"cookie": False}, headers=headers)
    shown = {"X-Session-Token": login.json()["token"]}
    (session,) = (await guarded.ask("GET", SESSIONS, headers=shown)).json()
    assert (session["address"], session["agent"]) == ("198.51.100.9", "a browseré")
    assert session["current"] is True


async def test_a_wrong_login_is_401_and_says_not_what_was_wrong(guarded):
    answers = [
        await guarded.ask("POST", LOGIN, json=BODY | wrong)
        for wrong in ({"password": "wrong horse"}, {"username": "nobody"})
    ]
    assert [one.status_code for one in answers] == [401, 401]
    assert answers[0].content == answers[1].content
    assert "set-cookie" not in answers[0].headers


async def test_too_many_wrong_logins_are_429(guarded):
    for _ in range(3):
        assert (await guarded.ask("POST", LOGIN, json=BODY | {"password": "wrong horse"})).status_code == 401
    refused = await guarded.ask("POST", LOGIN, json=BODY)
    assert (refused.status_code, refused.json()["error"]) == (429, "too_many_logins")
    assert int(refused.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"username": "ann"},
        BODY | {"more": 1},
        BODY | {"username": ["ann"]},
        BODY | {"username": ""},
        BODY | {"username": "x" * 10_000},
        BODY | {"password": "x" * 1_025},
        BODY | {"cookie": "no"},
    ],
)
async def test_a_login_of_another_shape_is_400(guarded, body):
    answer = await guarded.ask("POST", LOGIN, json=body)
    assert (answer.status_code, answer.json()["parameter"]) == (400, "body")
    assert PASSWORD not in answer.text


@pytest.mark.parametrize(
    "name", ["' OR 1=1 --", 'ann"; DROP TABLE users; --', "ann\0", "ann\r\nSet-Cookie: a=b"]
)
async def test_a_hostile_name_is_only_a_wrong_name(guarded, name):
    answer = await guarded.ask("POST", LOGIN, json=BODY | {"username": name})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    await guarded.log_in()


async def test_a_page_elsewhere_logs_nobody_in(guarded):
    refused = await guarded.ask("POST", LOGIN, json=BODY, headers={"Origin": "https://evil.example.com"})
    assert (refused.status_code, refused.json()["error"]) == (403, "origin_not_allowed")
    for origin in (OWN, LISTED):
        assert (await guarded.ask("POST", LOGIN, json=BODY, headers={"Origin": origin})).status_code == 200


async def test_a_login_with_an_old_cookie_makes_a_new_session(guarded):
    old = await guarded.cookie()
    answer = await guarded.ask("POST", LOGIN, json=BODY, headers=old)
    assert answer.status_code == 200
    assert answer.cookies[COOKIE] not in old["Cookie"]
    stale = {"Cookie": f"{COOKIE}=nonsense"}
    assert (await guarded.ask("POST", LOGIN, json=BODY, headers=stale)).status_code == 200


async def test_a_logout_ends_the_session_takes_the_cookie_and_may_be_repeated(guarded):
    cookie = await guarded.cookie()
    first = await guarded.ask("POST", LOGOUT, headers=cookie)
    again = await guarded.ask("POST", LOGOUT, headers=cookie)
    never = await guarded.ask("POST", LOGOUT)
    assert [one.json() for one in (first, again, never)] == [{"ended": 1}, {"ended": 0}, {"ended": 0}]
    assert "Max-Age=0" in first.headers["set-cookie"]
    assert (await guarded.ask("GET", SESSION, headers=cookie)).status_code == 401


async def test_a_page_elsewhere_logs_nobody_out(guarded):
    headers = await guarded.cookie() | {"Origin": "https://evil.example.com"}
    assert (await guarded.ask("POST", LOGOUT, headers=headers)).status_code == 403


async def test_the_session_says_who_is_logged_in(guarded):
    assert (await guarded.ask("GET", SESSION)).status_code == 401
    login = await guarded.log_in()
    cookie = {"Cookie": f"{COOKIE}={login.cookies[COOKIE]}"}
    assert (await guarded.ask("GET", SESSION, headers=cookie)).json() == login.json()
    by_key = (await guarded.ask("GET", SESSION, headers=await guarded.key(Scope.READ))).json()
    assert (by_key["user"], by_key["session_id"], by_key["scopes"], by_key["expires"]) == (
        "ann",
        "",
        ["read"],
        0,
    )


async def test_other_sessions_are_listed_and_ended_by_their_user_alone(guarded):
    other, this = await guarded.bearer(), await guarded.bearer()
    listed = (await guarded.ask("GET", SESSIONS, headers=this)).json()
    assert [one["current"] for one in listed] == [True, False]
    assert (await guarded.ask("DELETE", SESSIONS, headers=await guarded.key(Scope.READ))).status_code == 403
    assert (await guarded.ask("DELETE", SESSIONS)).status_code == 401
    assert (await guarded.ask("DELETE", SESSIONS, headers=this)).json() == {"ended": 1}
    assert (await guarded.ask("GET", SESSION, headers=other)).status_code == 401
    assert (await guarded.ask("GET", SESSION, headers=this)).status_code == 200


async def test_a_password_is_changed_by_whoever_knows_it(guarded):
    other, this = await guarded.bearer(), await guarded.bearer()

    async def change(old: str, new: str):
        return await guarded.ask("PUT", CHANGE_PASSWORD, json={"old": old, "new": new}, headers=this)

    wrong = await change("wrong horse", "battery staple")
    assert (wrong.status_code, wrong.json()["error"]) == (403, "wrong_password")
    assert (await change(PASSWORD, "short")).status_code == 400
    assert (await change(PASSWORD, "battery staple")).json() == {"ended": 1}
    assert (await guarded.ask("GET", SESSION, headers=other)).status_code == 401
    await guarded.log_in(password="battery staple")


async def test_while_sql_is_away_a_login_is_503(guarded):
    with guarded.rig.sql_is_away():
        answer = await guarded.ask("POST", LOGIN, json=BODY)
    assert (answer.status_code, answer.json()["error"]) == (503, "accounts_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert str(guarded.rig.file) not in answer.text
