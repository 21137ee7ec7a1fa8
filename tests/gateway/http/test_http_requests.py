"""What is a request and what is none, at the wire."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CLOSE = b"Host: a\r\nConnection: close\r\n\r\n"
GET = b"GET / HTTP/1.1\r\n" + CLOSE
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + CLOSE


async def test_a_request_is_answered(serve_port):
    async with serve_port() as port:
        answer = await port.answer(GET)
    assert (answer.status, answer.json["path"]) == (200, "/")


async def test_a_request_may_come_in_pieces(serve_port):
    async with serve_port() as port:
        reader, writer = await port.open()
        for byte in b"POST /a HTTP/1.1\r\nContent-Length: 3\r\nHost: a\r\nConnection: close\r\n\r\nxyz":
            writer.write(bytes([byte]))
            await writer.drain()
        assert b'"bytes":3' in await asyncio.wait_for(reader.read(), 10)
        writer.close()


async def test_one_connection_takes_request_after_request(serve_port):
    async with serve_port() as port:
        reader, writer = await port.open()
        for number in range(3):
            writer.write(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
            assert b'"path":"/%d"' % number in await reader.readuntil(b"}")
        writer.close()


async def test_requests_sent_at_once_are_answered_in_order(serve_port):
    async with serve_port() as port:
        wanted = [b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(10)]
        said = await port.say(b"".join(wanted) + GET)
    places = [said.index(b'"path":"/%d"' % number) for number in range(10)]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("what", "error"),
    [
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "bad_host"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "bad_host"),
        (b"GET / HTTP/1.1\r\nHost: \r\n\r\n", "bad_host"),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "bad_host"),
        (b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", "bad_host"),
        (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "bad_host"),
        (b"GET /\r\n\r\n", "malformed_request"),
        (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", "malformed_request"),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "malformed_request"),
        (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", "malformed_request"),
        (b"GET / HTTP/1.1\nHost: a\n\n", "malformed_request"),
        (b"GET / HTTP/1.1\r\nHost: a\n\r\n", "malformed_request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n", "malformed_request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", "malformed_request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", "malformed_request"),
        (b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", "malformed_request"),
        (b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", "bad_path"),
        (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", "malformed_request"),
        (b"GET http:// HTTP/1.1\r\nHost: a\r\n\r\n", "malformed_request"),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "malformed_request"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "malformed_request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), "malformed_request"),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "malformed_request",
        ),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "malformed_request"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\nab", "malformed_request"),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "malformed_request",
        ),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX:", "request_timeout"),
    ],
)
async def test_what_is_no_request_is_refused_before_anything_runs(serve_port, what, error):
    async with serve_port(read_timeout_s=0.2) as port:
        answer = await port.answer(what)
        assert 400 <= answer.status < 500
        assert answer.json["error"] == error
        assert answer.headers["connection"] == "close"
        assert port.asked == []
        assert port.entrance.rejected == {error: 1}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=300))
async def test_no_bytes_bring_a_connection_to_an_error(serve_port, garbage):
    async with serve_port(read_timeout_s=0.05) as port:
        said = await port.say(garbage)
    assert said == b"" or said.startswith(b"HTTP/1.1 4")


async def test_an_old_client_needs_no_host(serve_port):
    async with serve_port() as port:
        answer = await port.answer(b"GET / HTTP/1.0\r\n\r\n")
    assert answer.status == 200


async def test_a_request_for_a_protocol_that_is_not_spoken_is_answered_and_the_last(serve_port):
    upgrade = b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    async with serve_port() as port:
        said = await port.say(upgrade + GET)
        assert said.count(b"HTTP/1.1 200") == 1
        assert b'"path":"/a"' in said


async def test_a_head_too_long_is_refused_before_anything_runs(serve_port):
    async with serve_port(max_header_bytes=1_000, max_headers=10) as port:
        for head in (b"X: " + b"a" * 1_000, b"\r\n".join(b"X: a" for _ in range(11))):
            answer = await port.answer(b"GET / HTTP/1.1\r\n" + head + b"\r\n" + CLOSE)
            assert (answer.status, answer.json["error"]) == (431, "head_too_long")
        answer = await port.answer(b"GET /" + b"a" * 1_000 + b" HTTP/1.1\r\n" + CLOSE)
        assert answer.status == 431
        assert port.asked == []


async def test_a_head_that_never_ends_is_refused_when_it_is_too_long(serve_port):
    async with serve_port(max_header_bytes=1_000) as port:
        answer = await port.answer(b"GET / HTTP/1.1\r\nX: ", b"a" * 800, b"a" * 800)
    assert answer.status == 431


async def test_a_body_that_is_said_to_be_too_long_is_refused_unread(serve_port):
    async with serve_port(max_body_bytes=1_000) as port:
        answer = await port.answer(b"POST / HTTP/1.1\r\nContent-Length: 1001\r\n" + CLOSE)
        assert (answer.status, answer.json["error"], port.asked) == (413, "body_too_long", [])
        answer = await port.answer(b"POST / HTTP/1.1\r\nContent-Length: 1000\r\n" + CLOSE + b"a" * 1_000)
        assert (answer.status, answer.json["bytes"]) == (200, 1_000)


async def test_a_body_in_chunks_is_refused_when_it_gets_too_long(serve_port):
    async with serve_port(max_body_bytes=1_000) as port:
        answer = await port.answer(CHUNKED, *(b"64\r\n" + b"a" * 100 + b"\r\n" for _ in range(11)))
        assert (answer.status, port.asked) == (413, [])
        answer = await port.answer(CHUNKED, *(b"1\r\na\r\n" for _ in range(1_000)), b"0\r\n\r\n")
        assert (answer.status, answer.json["bytes"]) == (200, 1_000)


async def test_a_small_body_in_large_chunks_is_refused(serve_port):
    async with serve_port(max_body_bytes=100, max_header_bytes=200) as port:
        answer = await port.answer(CHUNKED, *(b"1;" + b"x" * 200 + b"\r\na\r\n" for _ in range(10)))
    assert answer.status == 413


async def test_a_client_that_is_refused_while_it_sends_still_gets_the_answer(serve_port):
    async with serve_port(max_body_bytes=1_000) as port:
        reader, writer = await port.open()
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n")
        assert b"413" in await reader.readline()
        for _ in range(50):  # nothing of it is looked at
            writer.write(bytes(10_000))
            await writer.drain()
        assert b"body_too_long" in await asyncio.wait_for(reader.read(), 10)
        writer.close()


async def test_a_long_body_is_taken_in_whole(serve_port):
    async with serve_port(max_body_bytes=1_000_000) as port:
        answer = await port.answer(
            b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n" + CLOSE, bytes(1_000_000)
        )
    assert answer.json["bytes"] == 1_000_000


async def test_a_client_that_asks_first_is_told_to_send_its_body(serve_port):
    async with serve_port() as port:
        reader, writer = await port.open()
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n" + CLOSE)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        assert b'"bytes":3' in await asyncio.wait_for(reader.read(), 10)
        writer.close()


async def test_what_comes_after_a_body_is_no_header(serve_port):
    async with serve_port() as port:
        answer = await port.answer(CHUNKED + b"1\r\na\r\n0\r\nAuthorization: Bearer x\r\nHost: evil\r\n\r\n")
        names = [name for name, _ in port.asked[0]["headers"]]
    assert answer.status == 200
    assert b"authorization" not in names
    assert names.count(b"host") == 1


async def test_what_is_no_request_does_not_disturb_the_answer_before_it(serve_port):
    async with serve_port() as port:
        reader, writer = await port.open()
        writer.write(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.wait_for(port.has_come.wait(), 5)
        writer.write(b"\0\0\0")
        await port.until(lambda: port.entrance.rejected == {"malformed_request": 1})
        port.go_on.set()
        said = await asyncio.wait_for(reader.read(), 10)
        writer.close()
    assert said.startswith(b"HTTP/1.1 200")
    assert said.endswith(b"}")
    assert said.count(b"HTTP/1.1") == 1


async def test_only_few_requests_wait_for_their_turn(serve_port):
    async with serve_port() as port:
        reader, writer = await port.open()
        writer.write(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n" * 1_000)
        await asyncio.wait_for(port.has_come.wait(), 5)
        assert port.entrance.rejected == {"too_many_at_once": 1}
        port.go_on.set()
        said = await asyncio.wait_for(reader.read(), 10)
        writer.close()
    assert said.count(b"HTTP/1.1 200") == 1
    assert len(port.asked) == 1


async def test_clients_of_a_trusted_proxy_are_seen_as_themselves(serve_port):
    forwarded = (
        b"X-Forwarded-For: 6.6.6.6, 9.9.9.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: t.example\r\n"
    )
    async with serve_port(proxies=("127.0.0.0/8",)) as port:
        answer = await port.answer(b"GET / HTTP/1.1\r\n" + forwarded + CLOSE)
        scope = port.asked[0]
        assert (answer.json["client"], scope["scheme"]) == ("9.9.9.9", "https")
        assert [value for name, value in scope["headers"] if name == b"host"] == [b"t.example"]
        answer = await port.answer(b"GET / HTTP/1.1\r\nX-Forwarded-Host: a/b\r\n" + CLOSE)
        assert answer.json["error"] == "bad_host"


async def test_nobody_else_is_believed(serve_port):
    forwarded = b"X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: t.example\r\n"
    async with serve_port() as port:
        answer = await port.answer(b"GET / HTTP/1.1\r\n" + forwarded + CLOSE)
        scope = port.asked[0]
    assert (answer.json["client"], scope["scheme"]) == ("127.0.0.1", "http")
    assert (b"host", b"a") in scope["headers"]
