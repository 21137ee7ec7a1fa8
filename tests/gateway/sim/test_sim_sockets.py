"""Sockets: an independent client hears valid streams and meets Binance's limits."""

import asyncio
import contextlib
from decimal import Decimal
from itertools import pairwise

import pytest
import websockets

from gateway.sim.limits import SimLimits
from gateway.sim.market.symbols import Board
from gateway.sim.streams.listeners import Manner
from gateway.sim.streams.requests import parse_door

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
FIELDS = {
    ("/ws", "btcusdt@aggTrade"): "e E s a p q f l T m M",
    ("/ws", "btcusdt@trade"): "e E s t p q T m M",
    ("/ws", "btcusdt@bookTicker"): "u s b B a A",
    ("/ws", "btcusdt@miniTicker"): "e E s c o h l v q",
    ("/ws", "btcusdt@kline_1m"): "e E s k",
    ("/ws", "btcusdt@depth@100ms"): "e E s U u b a",
    ("/ws", "btcusdt@depth5@100ms"): "lastUpdateId bids asks",
    ("/fstream/market/ws", "btcusdt@aggTrade"): "e E s a p q nq f l T m st",
    ("/fstream/public/ws", "btcusdt@trade"): "e E T s t p q X m",
    ("/fstream/public/ws", "btcusdt@bookTicker"): "e u s ps b B a A T E st",
    ("/fstream/public/ws", "btcusdt@depth@100ms"): "e E T s ps U u pu b a st",
    ("/fstream/market/ws", "btcusdt@kline_1m"): "e E s k",
    ("/dstream/ws", "btcusd_perp@aggTrade"): "e E s a p q f l T m st",
    ("/dstream/ws", "btcusd_perp@bookTicker"): "e u s ps b B a A T E st",
    ("/dstream/ws", "btcusd_perp@trade"): "e E T s ps t p q X m",
}


@pytest.mark.parametrize(("path", "stream"), FIELDS)
async def test_a_message_has_its_fields_in_the_order_of_the_wire(exchange, path, stream):
    async with exchange() as desk, desk.listen(f"{path}/{stream}") as ear:
        message = await ear.hear()
    assert list(message) == FIELDS[path, stream].split()


async def test_a_kline_has_its_fields_and_agrees_with_rest(exchange):
    async with exchange() as desk, desk.listen("/ws/ethusdt@kline_1m") as ear:
        bar = (await ear.hear())["k"]
        assert "".join(bar) == "tTsifLochlvnxqVQB"
        closed = (await desk.get("/api/v3/klines", symbol="ETHUSDT", interval="1m", startTime=bar["t"]))[0]
        assert bar["T"] == closed[6]
        assert Decimal(bar["o"]) == Decimal(closed[1])


async def test_combined_streams_are_wrapped_and_raw_ones_are_not(exchange):
    async with exchange() as desk:
        async with desk.listen("/stream?streams=btcusdt@aggTrade/ethusdt@aggTrade") as ear:
            heard = await ear.hear_some(20)
        assert {message["stream"] for message in heard} == {"btcusdt@aggTrade", "ethusdt@aggTrade"}
        assert all(message["data"]["s"].lower() == message["stream"].split("@")[0] for message in heard)
        async with desk.listen("/ws/btcusdt@aggTrade/ethusdt@aggTrade") as ear:
            assert {message["s"] for message in await ear.hear_some(20)} == {"BTCUSDT", "ETHUSDT"}


async def test_what_the_socket_says_is_what_rest_tells(exchange):
    async with exchange() as desk:
        for path, symbol, root in (
            ("/ws", "BTCUSDT", "/api/v3"),
            ("/fstream/market/ws", "ETHUSDT", "/fapi/v1"),
            ("/dstream/ws", "BTCUSD_PERP", "/dapi/v1"),
        ):
            async with desk.listen(f"{path}/{symbol.lower()}@aggTrade") as ear:
                heard = await ear.hear_some(60)
            told = await desk.get(f"{root}/aggTrades", symbol=symbol, fromId=heard[0]["a"], limit=60)
            assert [message["a"] for message in heard] == [row["a"] for row in told]
            assert all(message.items() >= row.items() for message, row in zip(heard, told, strict=True))
            assert all(message["E"] >= message["T"] for message in heard)


async def test_single_trades_tile_the_aggregates(exchange):
    async with exchange() as desk, desk.listen("/stream?streams=btcusdt@trade/btcusdt@aggTrade") as ear:
        heard = [message["data"] for message in await ear.hear_some(90)]
    aggregates = [message for message in heard if message["e"] == "aggTrade"]
    singles = {message["t"]: message for message in heard if message["e"] == "trade"}
    for aggregate in aggregates[1:-1]:
        parts = [singles[single_id] for single_id in range(aggregate["f"], aggregate["l"] + 1)]
        assert sum(Decimal(part["q"]) for part in parts) == Decimal(aggregate["q"])
        assert {part["p"] for part in parts} == {aggregate["p"]}


async def test_the_mini_ticker_of_all_is_a_list(exchange):
    async with exchange() as desk:
        async with desk.listen("/ws/!miniTicker@arr") as ear:
            assert [message["s"] for message in await ear.hear()] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
        async with desk.listen("/fstream/market/ws/!miniTicker@arr") as ear:
            assert {message["st"] for message in await ear.hear()} == {1, 2}


async def test_microseconds_for_who_asks(exchange):
    async with exchange() as desk:
        async with desk.listen("/stream?streams=btcusdt@aggTrade&timeUnit=MICROSECOND") as ear:
            message = (await ear.hear())["data"]
        assert message["E"] > 10**15
        assert 0 <= message["E"] - message["T"] < 10_000_000


async def test_subscriptions_come_and_go_live(exchange):
    async with exchange() as desk, desk.listen("/ws") as ear:
        names = ["btcusdt@aggTrade", "ethusdt@trade"]
        assert await ear.ask("SUBSCRIBE", names, 1) == {"result": None, "id": 1}
        assert {m["e"] for m in await ear.hear_some(20)} == {"aggTrade", "trade"}
        listed = await ear.ask("LIST_SUBSCRIPTIONS", request_id=2)
        assert listed == {"result": names, "id": 2}
        assert await ear.ask("UNSUBSCRIBE", ["btcusdt@aggTrade"], "three") == {"result": None, "id": "three"}
        assert {message["e"] for message in await ear.hear_some(20)} == {"trade"}


async def test_a_stream_that_does_not_exist_is_acknowledged_and_silent(exchange):
    async with exchange() as desk, desk.listen("/ws") as ear:
        assert (await ear.ask("SUBSCRIBE", ["nope@aggTrade", "BTCUSDT@aggTrade"]))["result"] is None
        assert (await ear.ask("SUBSCRIBE", ["btcusdt@aggTrade"]))["result"] is None
        assert {message["s"] for message in await ear.hear_some(10)} == {"BTCUSDT"}
        assert (await desk.state())["sent"].keys() == {"aggTrade"}


async def test_a_connection_can_be_made_combined(exchange):
    async with exchange() as desk, desk.listen("/ws/btcusdt@aggTrade") as ear:
        assert await ear.ask("GET_PROPERTY", ["combined"], 1) == {"result": False, "id": 1}
        assert await ear.ask("SET_PROPERTY", ["combined", True], 2) == {"result": None, "id": 2}
        (message,) = await ear.hear_some(1, lambda said: "stream" in said)
        assert message["stream"] == "btcusdt@aggTrade"


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("{", 3, "Invalid JSON"),
        ('{"id":1}', 2, "missing field `method`"),
        ('{"method":"JUMP","id":1}', 2, "unknown variant JUMP"),
        ('{"method":"LIST_SUBSCRIPTIONS","id":1.5}', 2, "request ID"),
        ('{"method":"LIST_SUBSCRIPTIONS"}', 2, "request ID"),
        ('{"method":"SUBSCRIBE","params":"x","id":1}', 2, "list of stream names"),
        ('{"method":"SUBSCRIBE","params":[],"id":1,"more":2}', 2, "too many parameters"),
        ('{"method":"GET_PROPERTY","params":["split"],"id":1}', 0, "Unknown property"),
        ('{"method":"SET_PROPERTY","params":["combined","yes"],"id":1}', 1, "expected Boolean"),
        ('{"method":"SET_PROPERTY","params":[true],"id":1}', 2, "property name must be a string"),
    ],
)
async def test_a_wrong_request_is_answered_with_an_error(exchange, text, code, message):
    async with exchange() as desk, desk.listen("/ws") as ear:
        await ear.connection.send(text)
        answer = await ear.hear()
    assert answer["code"] == code
    assert message in answer["msg"]


async def test_futures_take_only_unsigned_ids(exchange):
    async with exchange() as desk, desk.listen("/fstream/market/ws") as ear:
        await ear.connection.send('{"method":"LIST_SUBSCRIPTIONS","id":"x"}')
        assert "unsigned integer" in (await ear.hear())["msg"]


@pytest.mark.parametrize("path", ["/fstream/ws", "/fstream/public/ws"])
async def test_market_streams_are_silent_behind_the_wrong_door(exchange, path):
    async with exchange() as desk, desk.listen(path) as ear:
        assert (await ear.ask("SUBSCRIBE", ["btcusdt@aggTrade", "btcusdt@bookTicker"]))["result"] is None
        assert {message["e"] for message in await ear.hear_some(30)} == {"bookTicker"}


async def test_either_futures_host_has_the_klines_of_both_markets(exchange):
    async with (
        exchange() as desk,
        desk.listen("/fstream/market/ws/btcusd_perp@kline_1m") as one,
        desk.listen("/dstream/ws/btcusd_perp@kline_1m") as other,
    ):
        for ear in (one, other, one, other):
            assert (await ear.hear())["s"] == "BTCUSD_PERP"


async def test_two_names_of_one_stream_are_both_heard_in_full(exchange):
    names = ("btcusdt@depth", "btcusdt@depth@250ms")
    async with exchange() as desk, desk.listen(f"/fstream/public/stream?streams={'/'.join(names)}") as ear:
        heard = await ear.hear_some(8)
    for name in names:
        events = [message["data"] for message in heard if message["stream"] == name]
        assert len(events) >= 2
        assert all(after["pu"] == before["u"] for before, after in pairwise(events))


@pytest.mark.parametrize("path", ["/nowhere", "/fstream/other/ws", "/dstream/public/ws"])
async def test_a_path_that_leads_nowhere_is_refused(exchange, path):
    async with exchange() as desk:
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with desk.listen(path):
                pass
    assert refused.value.response.status_code == 404


def test_an_address_says_what_is_wanted():
    chinese = "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9Fusdt@trade"
    door = parse_door(f"/stream?streams=btcusdt@aggTrade/{chinese}&timeUnit=microsecond")
    assert door is not None
    assert (door.board, door.category, door.manner) == (Board.SPOT, "", Manner(True, 1))
    assert door.streams == ("btcusdt@aggTrade", "币安人生usdt@trade")


async def test_too_many_control_messages_end_the_connection_pings_included(exchange):
    async with exchange() as desk, desk.listen("/ws") as ear:
        for _ in range(3):
            await ear.connection.ping()
            await ear.connection.send('{"method":"LIST_SUBSCRIPTIONS","id":1}')
        assert await ear.closed() == 1008
        assert (await desk.state())["counted"]["violation.messages"] == 1


async def test_too_many_streams_end_the_connection(exchange):
    async with exchange(limits=SimLimits(spot_streams=3)) as desk, desk.listen("/ws") as ear:
        await ear.ask("SUBSCRIBE", ["a@trade", "b@trade", "c@trade"])
        await ear.connection.send('{"method":"SUBSCRIBE","params":["d@trade"],"id":2}')
        assert await ear.closed() == 1008


async def test_too_many_connection_attempts_are_refused(exchange):
    async with exchange(limits=SimLimits(attempts=2)) as desk, desk.listen("/ws"), desk.listen("/ws"):
        with pytest.raises(websockets.InvalidStatus):
            async with desk.listen("/ws"):
                pass


async def test_a_connection_ends_with_its_life(exchange):
    async with exchange(limits=SimLimits(life_s=0.2)) as desk, desk.listen("/ws/btcusdt@aggTrade") as ear:
        assert await ear.closed() == 1008


async def test_who_answers_pings_stays_and_who_does_not_is_dropped(exchange):
    limits = SimLimits(spot_ping_s=0.1, spot_pong_s=0.3, spot_messages=100)
    async with exchange(limits=limits) as desk, desk.listen("/ws/btcusdt@aggTrade") as ear:
        reader, writer = await asyncio.open_connection("127.0.0.1", desk.sim.port)
        writer.write(UPGRADE)
        async with asyncio.timeout(10):
            while b"\x88" not in await reader.read(1000):  # the first byte of a close frame
                pass
        writer.close()
        assert (await desk.state())["counted"]["violation.pong"] == 1
        await ear.hear_some(5)


async def test_who_does_not_finish_closing_disturbs_nobody(exchange):
    limits = SimLimits(spot_ping_s=0.05, spot_messages=1)
    async with exchange(limits=limits) as desk, desk.listen("/dstream/ws/btcusd_perp@aggTrade") as ear:
        reader, writer = await asyncio.open_connection("127.0.0.1", desk.sim.port)
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(2 * b"\x89\x80\0\0\0\0")  # two pings: one too many
        async with asyncio.timeout(10):
            while b"\x88" not in await reader.read(1000):  # the first byte of a close frame
                pass
        await ear.hear_some(60)  # in which time pings were due
        writer.close()


async def test_who_does_not_read_is_dropped(exchange):
    limits = SimLimits(max_buffer_bytes=100_000)
    streams = "/".join(f"{coin}usdt@{kind}" for coin in ("btc", "eth") for kind in ("trade", "aggTrade"))
    async with exchange(limits=limits, rate=2000.0) as desk:
        url = desk.sim.url.replace("http", "ws") + f"/stream?streams={streams}"
        async with websockets.connect(url, max_queue=1) as connection:
            async with asyncio.timeout(20):
                while "violation.slow" not in (await desk.state())["counted"]:
                    await asyncio.to_thread(lambda: None)
            with contextlib.suppress(websockets.ConnectionClosed):
                while True:
                    await connection.recv()
