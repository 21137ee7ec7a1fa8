import asyncio
import json
import socket
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from gateway.ws import connection
from gateway.ws.endpoint import ClientLimits
from protocol.errors import CloseCode
from protocol.events import Kind, changes_of
from protocol.frames import Frame, decode_v1, decode_v2
from protocol.session import Limits


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait only for a moment for clients that are told to go."""
    monkeypatch.setattr(connection, "CLOSE_TIMEOUT_S", 0.2)


async def ask(client: ClientConnection, *symbols: str, **more: Any) -> None:
    await client.send(json.dumps({"type": "subscribe", "symbols": symbols, **more}))


async def text(client: ClientConnection) -> dict[str, Any]:
    message = await asyncio.wait_for(client.recv(), 5)
    assert isinstance(message, str), f"a text message was due, not {message!r}"
    return json.loads(message)


async def frame_v1(client: ClientConnection) -> list[tuple[int, float, float]]:
    message = await asyncio.wait_for(client.recv(), 5)
    assert isinstance(message, bytes), f"a frame was due, not {message!r}"
    return decode_v1(message).tolist()


async def frame_v2(client: ClientConnection) -> Frame:
    message = await asyncio.wait_for(client.recv(), 5)
    assert isinstance(message, bytes), f"a frame was due, not {message!r}"
    return decode_v2(message)


async def close_code(client: ClientConnection) -> int:
    """Read until the server closes and return its code."""
    async with asyncio.timeout(15):
        await client.wait_closed()
    assert client.close_code is not None
    return client.close_code


async def test_v1_is_the_default_and_the_dictionary_comes_first(rig):
    btc = next(iter(rig.ids))
    async with rig.connect() as client:
        await ask(client, btc)
        entry = (await text(client))["symbols"][0]
        rig.trade(btc, 101.5, 3.0)
        assert await frame_v1(client) == [(entry["id"], 101.5, 3.0)]
    assert client.subprotocol is None
    assert (entry["symbol"], entry["venue"], entry["simulated"]) == (btc, rig.venue, True)


async def test_v2_comes_by_subprotocol_and_says_how_old_a_value_is(rig):
    btc = next(iter(rig.ids))
    async with rig.connect(2) as client:
        await ask(client, btc)
        await text(client)
        rig.trade(btc, 101.5)
        frame = await frame_v2(client)
    (price,) = frame.rows()
    assert client.subprotocol == "tickgate.v2"
    assert frame.kind is Kind.PRICE
    assert (price.symbol_id, price.price, changes_of(price.flags)) == (rig.ids[btc], 101.5, 1)
    assert 0 <= price.delay_us < 5_000_000


async def test_the_newest_values_are_sent_at_subscribe(rig):
    btc, eth, _ = rig.ids
    await rig.prices_arrive(btc, 7.5)
    async with rig.connect() as client:
        await ask(client, btc, eth)
        await text(client)
        assert [(row[0], row[1]) for row in await frame_v1(client)] == [(rig.ids[btc], 7.5)]


async def test_a_client_gets_what_it_asked_for_and_nothing_else(rig):
    btc, eth, cjk = rig.ids
    async with rig.connect() as client:
        await ask(client, cjk)
        await text(client)
        rig.trade(btc, 1.0)
        rig.trade(eth, 2.0)
        rig.trade(cjk, 3.0)
        assert [row[:2] for row in await frame_v1(client)] == [(rig.ids[cjk], 3.0)]
        await client.send(json.dumps({"type": "ping"}))
        assert await text(client) == {"type": "pong"}  # and no frame before it


async def test_quotes_come_to_v2_clients_that_ask_for_them(rig):
    btc = next(iter(rig.ids))
    async with rig.connect(2) as client, rig.connect() as old:
        await ask(client, btc, kinds=["quote"])
        await text(client)
        rig.trade(btc, 100.0)
        rig.book(btc, 99.0, 101.0)
        frame = await frame_v2(client)
        assert frame.kind is Kind.QUOTE
        assert (frame.rows()[0].bid, frame.rows()[0].ask) == (99.0, 101.0)
        await ask(old, btc, kinds=["quote"])
        assert (await text(old))["code"] == "unsupported_kind"


async def test_after_unsubscribe_nothing_more_of_it_comes(rig):
    btc, eth, _ = rig.ids
    async with rig.connect() as client:
        await ask(client, btc, eth)
        await text(client)
        await client.send(json.dumps({"type": "unsubscribe", "symbols": [btc]}))
        await client.send(json.dumps({"type": "ping"}))
        await text(client)
        rig.trade(btc, 1.0)
        rig.trade(eth, 2.0)
        assert [row[0] for row in await frame_v1(client)] == [rig.ids[eth]]


async def test_an_unknown_symbol_is_an_error_and_the_others_are_served(rig):
    btc = next(iter(rig.ids))
    async with rig.connect() as client:
        await ask(client, "NOSUCH", btc)
        error = await text(client)
        assert (error["code"], error["symbols"]) == ("unknown_symbol", ["NOSUCH"])
        assert [entry["symbol"] for entry in (await text(client))["symbols"]] == [btc]


async def test_many_changes_while_the_loop_is_busy_become_one_record(rig):
    btc = next(iter(rig.ids))
    async with rig.connect(2) as client:
        await ask(client, btc)
        await text(client)
        for price in range(1, 51):
            rig.trade(btc, float(price))
        rows = []
        while not rows or rows[-1].price != 50.0:
            rows += (await frame_v2(client)).rows()
    assert sum(changes_of(row.flags) for row in rows) == 50


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", CloseCode.BAD_MESSAGE),
        ('{"type":"nonsense"}', CloseCode.BAD_MESSAGE),
        ('{"type":"subscribe","symbols":"BTCUSDT"}', CloseCode.BAD_MESSAGE),
        ("[" * 10_000, CloseCode.BAD_MESSAGE),
        (b"\x00\x01", CloseCode.UNSUPPORTED_DATA),
        ('{"type":"subscribe","symbols":["' + "A" * 70_000 + '"]}', CloseCode.MESSAGE_TOO_BIG),
    ],
)
async def test_malformed_input_closes_with_the_documented_code(rig, message: str | bytes, code: int):
    async with rig.connect() as client:
        await client.send(message)
        assert await close_code(client) == code


async def test_text_that_is_not_utf8_closes_the_connection(rig):
    async with rig.connect() as client:
        await client.send(b"\xff\xfe", text=True)
        assert await close_code(client) in {CloseCode.INVALID_TEXT, CloseCode.BAD_MESSAGE}


async def test_too_many_messages_close_the_connection(make_rig):
    limits = ClientLimits(session=Limits(messages_per_second=1, message_burst=5))
    async with make_rig(["FAST1USDT"], limits) as rig, rig.connect() as client:
        for _ in range(6):
            await client.send('{"type":"ping"}')
        assert await close_code(client) == CloseCode.TOO_MANY_MESSAGES


async def test_a_broken_client_does_not_disturb_the_others(rig):
    btc = next(iter(rig.ids))
    async with rig.connect() as good, rig.connect() as bad:
        await ask(good, btc)
        await text(good)
        await ask(bad, btc)
        await bad.send("{")
        await close_code(bad)
        rig.trade(btc, 5.0)
        assert (await frame_v1(good))[0][1] == 5.0


async def test_a_message_in_fragments_is_one_message(rig):
    btc = next(iter(rig.ids))
    async with rig.connect() as client:
        await client.send(['{"type":"subscr', f'ibe","symbols":["{btc}', '"]}'])
        assert (await text(client))["symbols"][0]["symbol"] == btc


async def test_the_code_that_a_client_closes_with_is_counted(rig):
    async with rig.connect() as client:
        await client.close(4999, "had enough")
    await asyncio.wait_for(gateway_has_clients(rig, 0), 5)
    async with httpx.AsyncClient(base_url=rig.http) as http:
        assert (await http.get("/stats")).json()["closed_by_code"] == {"4999": 1}


async def test_another_path_is_refused_with_404(rig):
    with pytest.raises(InvalidStatus) as refused:
        async with type(rig.connect())(rig.ws.replace("/api/v1/ws", "/elsewhere")):
            pass
    assert refused.value.response.status_code == 404


async def test_a_full_gateway_refuses_with_503(make_rig):
    async with make_rig(["FULL1USDT"], ClientLimits(max_connections=1)) as rig, rig.connect():
        with pytest.raises(InvalidStatus) as refused:
            async with rig.connect():
                pass
        assert refused.value.response.status_code == 503


async def test_a_stopping_gateway_says_so_to_every_client(rig):
    async with rig.connect() as client:
        rig.stop.set()
        assert await close_code(client) == CloseCode.SERVICE_RESTART


async def test_a_client_that_answers_no_ping_is_closed(make_rig):
    limits = ClientLimits(ping_interval_s=0.1, pong_timeout_s=0.1)
    async with make_rig(["DEAD1USDT"], limits) as rig:
        reader, writer = await open_raw(rig.port)
        async with asyncio.timeout(10):
            assert await reader.readexactly(2) == b"\x89\x00"  # the ping that it leaves unanswered
            header = await reader.readexactly(2)
            while header[0] == 0x89:
                header = await reader.readexactly(2)
            assert header[0] == 0x88
            assert int.from_bytes(await reader.readexactly(2), "big") == CloseCode.NO_PONG
        writer.close()


async def test_a_client_that_answers_pings_stays(brief, make_rig):
    limits = ClientLimits(ping_interval_s=0.1, pong_timeout_s=0.1)
    async with make_rig(["ALIVE1USDT"], limits) as rig, rig.connect() as alive, rig.connect() as dead:
        dead.transport.pause_reading()
        await asyncio.wait_for(gateway_has_clients(rig, 1), 15)
        await alive.send('{"type":"ping"}')
        assert await text(alive) == {"type": "pong"}
        dead.transport.abort()


async def gateway_has_clients(rig, count: int) -> None:
    async with httpx.AsyncClient(base_url=rig.http) as http:
        while (await http.get("/stats")).json()["clients"] != count:
            pass


# A slow client

MANY = [f"SLOW{number}USDT" for number in range(200)]


async def test_a_slow_client_gets_the_newest_value_of_each_symbol_when_it_reads_again(make_rig):
    async with make_rig(MANY, ClientLimits(max_buffer_bytes=4_096), send_buffer=4_096) as rig:
        async with rig.connect(2) as quick:
            await ask(quick, MANY[0])
            await text(quick)
            reader, writer = await open_raw(rig.port, MANY)
            last = await publish_until(rig, "slow_clients", 1)
            rig.trade(MANY[0], 424_242.0)
            await see_price(quick, 424_242.0)  # the others are not held up
            writer.transport.resume_reading()
            newest = await read_newest(reader, rig.ids, last | {MANY[0]: 424_242.0})
        assert newest[rig.ids[MANY[0]]].price == 424_242.0
        assert max(changes_of(row.flags) for row in newest.values()) > 1
        writer.close()


async def test_a_client_that_stays_behind_is_closed_and_counted(brief, make_rig):
    limits = ClientLimits(max_buffer_bytes=4_096, max_lag_s=0.2)
    async with make_rig(MANY, limits, send_buffer=4_096) as rig:
        _, writer = await open_raw(rig.port, MANY)
        await publish_until(rig, "slow_clients", 1)
        async with asyncio.timeout(20), httpx.AsyncClient(base_url=rig.http) as http:
            closed: dict[str, int] = {}
            while not closed:
                closed = (await http.get("/stats")).json()["closed_by_code"]
        writer.close()
    assert closed == {str(int(CloseCode.TOO_SLOW)): 1}


async def open_raw(port: int, symbols: list[str] | None = None) -> tuple[Any, Any]:
    """Open a v2 stream by hand, with a tiny receive buffer; with symbols, subscribe and stop reading."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=raw, limit=2**24)
    writer.write(
        b"GET /api/v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        b"Sec-WebSocket-Protocol: tickgate.v2\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    if symbols:
        message = json.dumps({"type": "subscribe", "symbols": symbols}).encode()
        header = b"\x81\xfe" + len(message).to_bytes(2, "big")
        writer.write(header + b"\0\0\0\0" + message)
        await read_message(reader)
        writer.transport.pause_reading()
    return reader, writer


async def publish_until(rig, counter: str, value: int) -> dict[str, float]:
    """Trade all symbols again and again until the gateway's counter says so; return the last prices."""
    last: dict[str, float] = {}
    async with asyncio.timeout(20), httpx.AsyncClient(base_url=rig.http) as http:
        for step in range(1, 10_000):
            for number, symbol in enumerate(rig.ids):
                last[symbol] = step + number / 1000
                rig.trade(symbol, last[symbol])
            if (await http.get("/stats")).json()[counter] == value:
                break
    return last


async def see_price(client: ClientConnection, price: float) -> None:
    while (await frame_v2(client)).rows()[-1].price != price:
        pass


async def read_newest(reader: Any, ids: dict[str, int], wanted: dict[str, float]) -> dict[int, Any]:
    """Read frames until every symbol has its wanted price."""
    newest: dict[int, Any] = {}
    missing = {ids[symbol]: price for symbol, price in wanted.items()}
    async with asyncio.timeout(20):
        while missing:
            opcode, payload = await read_message(reader)
            for row in decode_v2(payload).rows() if opcode == 0x2 else ():
                newest[row.symbol_id] = row
                if missing.get(row.symbol_id) == row.price:
                    del missing[row.symbol_id]
    return newest


async def read_message(reader: Any) -> tuple[int, bytes]:
    first, size = await reader.readexactly(2)
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2), "big")
    elif size == 127:
        size = int.from_bytes(await reader.readexactly(8), "big")
    return first & 0x0F, await reader.readexactly(size)
