"""Requests that are too many, too long or too slow: they are refused, and others do not notice."""

import asyncio

import pytest

from gateway.api.limits import Rate
from gateway.api.operations import Limit
from gateway.http.entrance import HttpLimits

MEGABYTE = b"a" * 1_000_000
ASK = b"GET /api/v1/symbols HTTP/1.1\r\nHost: a\r\n"
HANDSHAKE = (
    b"GET /api/v1/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /" + MEGABYTE + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
        (b"GET /?" + MEGABYTE + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
        (ASK + b"X: " + MEGABYTE + b"\r\n\r\n", 431),
        (ASK + MEGABYTE + b": x\r\n\r\n", 431),
        (ASK + b"X: a\r\n" * 10_000 + b"\r\n", 431),
        (ASK + b"Cookie: session_token=" + MEGABYTE + b"\r\n\r\n", 431),
        (b"POST /api/v1/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + MEGABYTE, 413),
        (b"POST /api/v1/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999\r\n\r\n", 413),
        (
            b"POST /api/v1/auth/login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nf4240\r\n"
            + MEGABYTE,
            413,
        ),
        (HANDSHAKE + b"X: " + MEGABYTE + b"\r\n\r\n", 431),
    ],
    ids=lambda given: None if isinstance(given, int) else given[:30].decode(),
)
async def test_a_request_too_long_anywhere_is_refused(target, request_, status):
    reader, writer = await target.open()
    writer.write(request_)
    assert (await asyncio.wait_for(reader.readline(), 20)).startswith(b"HTTP/1.1 %d " % status)
    writer.transport.abort()
    await target.serves_others()


async def test_requests_that_come_too_fast_are_refused_and_told_when_to_come_again(start_target):
    rates = {Limit.MARKET: Rate(1, 5)}
    async with start_target(rates=rates, origins=("https://app.example",)) as target:
        async with target.http(Origin="https://app.example") as http:
            answers = [await http.get("/api/v1/symbols") for _ in range(10)]
        last = answers[-1]
        assert (last.status_code, last.json()["error"]) == (429, "too_many_requests")
        assert int(last.headers["retry-after"]) >= 1
        assert last.headers["access-control-allow-origin"] == "https://app.example"
        await target.serves_others()


async def test_a_client_of_a_network_counts_by_its_network_and_not_by_what_it_says(start_target):
    """X-Forwarded-For is nothing unless a proxy of ours says it."""
    async with start_target(rates={Limit.MARKET: Rate(1, 5)}) as target, target.http() as http:
        forged = [{"X-Forwarded-For": f"9.9.9.{number}"} for number in range(10)]
        answers = [await http.get("/api/v1/symbols", headers=one) for one in forged]
        assert answers[-1].status_code == 429


@pytest.mark.parametrize("shown", ["Authorization", "Cookie", "X-Session-Token"])
async def test_guessing_tokens_finds_nothing_and_is_slowed_down(target, shown):
    prefix = {"Authorization": "Bearer ", "Cookie": "session_token=", "X-Session-Token": ""}[shown]
    async with target.http() as http:
        seen = set()
        for number in range(300):
            token = f"{number:043d}"
            answer = await http.get("/api/v1/auth/session", headers={shown: prefix + token})
            seen.add(answer.status_code)
    assert seen == {401, 429}
    login = await target.log_in()
    assert login.status_code == 200
    async with target.http("127.0.0.3", Authorization=f"Bearer {login.json()['token']}") as http:
        assert (await http.get("/api/v1/auth/session")).status_code == 200


@pytest.mark.parametrize(
    "token",
    ["\xff\xfe", "a" * 10_000, "tg_x_y", "tg__", "tg_" + "a" * 5_000, "../..", "' OR 1=1 --"],
)
async def test_what_is_no_token_is_nobodys(target, token):
    async with target.http() as http:
        for name, value in (
            ("Authorization", b"Bearer "),
            ("Cookie", b"session_token="),
            ("X-Session-Token", b""),
        ):
            headers = [(name.encode(), value + token.encode("latin-1"))]
            answer = await http.get("/api/v1/marketwatch", headers=headers)
            assert answer.status_code == 401


async def test_guessing_a_password_is_stopped_and_its_owner_comes_in_from_elsewhere(target):
    answers = [await target.log_in("127.0.0.1", f"a wrong one {number}") for number in range(12)]
    assert [one.status_code for one in answers[:9]] == [401] * 9
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) > 1


async def test_slow_requests_cost_nobody_else_anything_and_end(target):
    """Heads, bodies and handshakes of which a byte comes now and then."""
    slow = [ASK, b"POST /api/v1/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n{", HANDSHAKE]
    opened = [await target.open() for _ in range(60)]
    answers = [asyncio.ensure_future(reader.read()) for reader, _ in opened]
    for number, (_, writer) in enumerate(opened):
        writer.write(slow[number % 3])
    while not all(answer.done() for answer in answers):
        for _, writer in opened:
            writer.write(b"x")
        await target.serves_others()
    assert {answer.result()[:12] for answer in answers} == {b"HTTP/1.1 408"}
    for _, writer in opened:
        writer.close()
    await target.until(lambda: not target.entrance.by_address["127.0.0.1"])


async def test_idle_connections_of_one_address_are_few_and_end(start_target):
    limits = HttpLimits(read_timeout_s=2.0, max_per_address=100)
    async with start_target(http=limits) as target:
        opened = [await target.open() for _ in range(1_000)]
        answers = [asyncio.ensure_future(_end_of(reader)) for reader, _ in opened]
        assert target.entrance.by_address["127.0.0.1"] <= 100
        await target.serves_others()
        await asyncio.wait_for(asyncio.gather(*answers), 20)
        for _, writer in opened:
            writer.close()
        await target.until(lambda: not target.entrance.by_address["127.0.0.1"])


async def test_connections_that_ask_again_and_again_do_not_hold_a_place_for_ever(target):
    """An empty line is no request."""
    reader, writer = await target.open()
    ended = asyncio.ensure_future(_end_of(reader))
    while not ended.done():
        writer.write(b"\r\n")
        await asyncio.sleep(0.01)
    writer.close()


async def _end_of(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""
