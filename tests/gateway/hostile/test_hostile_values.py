"""Values that are more than values where somebody is careless: each is refused, or is only a value."""

from urllib.parse import quote

import pytest

SQL = [
    "' OR '1'='1",
    "BTCUSDT'; DROP TABLE users; --",
    '" OR 1=1 --',
    "1) UNION SELECT password FROM users --",
]
SHELL = ["$(reboot)", "`id`", "${jndi:ldap://evil/a}", "{{7*7}}", "%s%s%n"]
PATHS = ["../../../../etc/passwd", "..\\..\\secrets", "/etc/passwd", "file:///etc/passwd"]
TEXTS = [
    "\r\nSet-Cookie: a=b",
    "\ud7ff\u202e",
    "\u0000",
    "𝔅𝔗ℭ",
    "A" * 5_000,
    "<script>alert(1)</script>",
    " ",
]
PLACES = [
    "/api/v1/symbols/{}/price",
    "/api/v1/symbols/{}/bars?resolution=1",
    "/api/v1/symbols?venue={}",
    "/api/v1/candles?symbol={}&interval=1m",
    "/api/v1/candles?symbol=BTCUSDT&interval={}",
    "/api/v1/candles?symbol=BTCUSDT&interval=1m&limit={}",
    "/api/v1/gaps?symbol={}",
    "/api/v1/marketwatch/{}",
    "/udf/history?symbol={}&resolution=1&from=0&to=1",
    "/udf/history?symbol=BTCUSDT&resolution={}&from=0&to=1",
    "/udf/search?query={}&limit=10",
    "/udf/quotes?symbols={}",
    "/static/{}",
    "/{}",
]


@pytest.mark.parametrize("values", [SQL, SHELL, PATHS, TEXTS], ids=["sql", "shell", "paths", "texts"])
async def test_no_value_anywhere_in_an_address_is_more_than_a_value(target, values):
    async with target.http() as http:
        for place in PLACES:
            for value in values:
                url = place.format(quote(value, safe="", errors="surrogatepass"))
                answer = await http.get(url)
                assert answer.status_code < 500 or answer.json()["error"] != "internal", url
                assert answer.status_code in (200, 400, 401, 403, 404, 405, 503), url
                assert "root:" not in answer.text
                assert "set-cookie" not in answer.headers
                if "<script>" in value:
                    assert "text/html" not in answer.headers.get("content-type", "")
    assert await target.database.users.find("ann") is not None


@pytest.mark.parametrize("name", [*SQL, "ann' --", "ann\0", "ANN\u0307", "", " ", "\r\n", "a" * 60_000])
async def test_sql_in_a_login_logs_nobody_in(target, name):
    async with target.http() as http:
        for body in ({"username": name, "password": "x' OR '1'='1"}, {"username": "ann", "password": name}):
            answer = await http.post("/api/v1/auth/login", json=body)
            assert answer.status_code in (400, 401)
    assert (await target.log_in()).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"ann"',
        b'{"username":"ann"',
        b'{"username":{"$ne":null},"password":{"$ne":null}}',
        b'{"username":["ann"],"password":true}',
        b'{"username":"\xff\xfe","password":"\xc3"}',
        b'{"username":"\\ud800","password":"\\udfff"}',
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b'{"username":' + b"9" * 60_000 + b"}",
        b'{"username":1e999999,"password":NaN}',
        b"\0" * 1_000,
    ],
)
async def test_a_body_that_is_no_login_is_refused_by_name(target, body):
    async with target.http() as http:
        answer = await http.post("/api/v1/auth/login", content=body)
    assert answer.status_code == 400
    assert answer.json()["parameter"] == "body"


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /api/v1/symbols/%0d%0aX-Injected:%20yes/ HTTP/1.1\r\nHost: a",
        "GET /udf/config/%0d%0a%0d%0aX-Injected:%20yes/ HTTP/1.1\r\nHost: a",
        "GET /api/v1/symbols?a=%0d%0aX-Injected:yes HTTP/1.1\r\nHost: a",
        "GET /api/v1/symbols/ HTTP/1.1\r\nHost: a%0d%0aX-Injected:yes",
        "GET /api/v1/symbols/ HTTP/1.1\r\nHost: a\rX-Injected: yes",
        "GET /api/v1/symbols HTTP/1.1\r\nHost: a\r\nOrigin: http://a\rX-Injected: yes",
        "GET /api/v1/symbols HTTP/1.1\r\nHost: a\r\nOrigin: http://a%0d%0aX-Injected: yes",
        "OPTIONS /udf/config HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n"
        "Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: X-Injected",
        "GET /api/v1/symbols HTTP/1.1\r\nHost: a\r\nIf-None-Match: X-Injected",
        "GET /api/v1/symbols HTTP/1.1\r\nHost: a\r\nCookie: session_token=X-Injected",
        "GET /api/v1/symbols HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer X-Injected",
    ],
)
async def test_nothing_of_a_request_becomes_a_header_of_the_answer(target, request_line):
    said = await target.say(f"{request_line}\r\nConnection: close\r\n\r\n".encode())
    head = said.partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"http/1.1 ")
    assert b"500" not in head.split(b"\r\n")[0]
    assert not [line for line in head.split(b"\r\n") if line.startswith(b"x-injected")]
    for line in head.split(b"\r\n"):
        assert b"x-injected" not in line or line.startswith(b"location: "), line


async def test_a_redirect_leads_nowhere_else(target):
    said = await target.say(
        b"GET //evil.example/api/v1/symbols/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    head = said.partition(b"\r\n\r\n")[0].lower()
    locations = [line for line in head.split(b"\r\n") if line.startswith(b"location: ")]
    assert all(line.startswith(b"location: http://a/") for line in locations)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/%2e%2e/pyproject.toml",
        "/static/..%2fapp.py",
        "/static//etc/passwd",
    ],
)
async def test_no_file_but_those_of_the_page_can_be_had(target, path):
    said = await target.say(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    assert said.startswith(b"HTTP/1.1 404")
