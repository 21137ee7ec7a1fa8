"""The asyncio client against a gateway that behaves, and against every way not to."""

import ast
import asyncio
import textwrap
from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus
from typing import Any, TypeVar

import pytest

import clients.stream
from clients.connections import Patience, stream_url
from clients.errors import StreamClosed, StreamRefused
from clients.stream import Stream
from clients.updates import Connected, Disconnected, Item, Refused, StreamPrice, StreamQuote
from gateway.ws.connection import Refusal
from protocol.control import SymbolEntry, Symbols, format_message
from protocol.errors import CloseCode
from protocol.events import Price
from protocol.frames import encode_v2

TIMEOUT_S = 10.0
HASTY = Patience(open_s=2.0, close_s=0.2, first_retry_s=0.01, max_retry_s=0.02)

Kind = TypeVar("Kind")


def stream_of(gateway: Any, symbols: Any = "BTCUSDT", **options: Any) -> Stream:
    return Stream(gateway.url, symbols, patience=options.pop("patience", HASTY), **options)


async def next_of(kind: type[Kind], items: AsyncGenerator[Item, None]) -> Kind:
    """Read until an item of this kind comes."""
    async with asyncio.timeout(TIMEOUT_S):
        async for item in items:
            if isinstance(item, kind):
                return item
    raise AssertionError(f"the stream ended without a {kind.__name__}")


async def test_the_lines_of_the_docstring_run(gateway):
    docstring = clients.stream.__doc__ or ""
    lines = [line for line in docstring.splitlines() if line.startswith("    ")]
    source = textwrap.dedent("\n".join(lines)).replace("ws://127.0.0.1:8080", gateway.url)
    reading = compile(source, "docstring", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    printed: asyncio.Queue[tuple[object, ...]] = asyncio.Queue()
    names = {"print": lambda *values: printed.put_nowait(values)}
    async with asyncio.TaskGroup() as group:
        task = group.create_task(eval(reading, names))
        peer = await gateway.peer()
        peer.price(1, 64000.5)
        async with asyncio.timeout(TIMEOUT_S):
            assert await printed.get() == ("BTCUSDT", 64000.5)
        task.cancel()


async def test_a_price_carries_all_that_the_gateway_said_of_it(gateway):
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        (await gateway.peer()).price(1, 64000.5, delay_us=-250, changes=3)
        price = await next_of(StreamPrice, items)
    assert price.symbol == "BTCUSDT"
    assert (price.price, price.volume, price.changes) == (64000.5, 10.0, 3)
    assert (price.delay_us, price.exchange_us) == (-250, gateway.time_us + 250)
    assert price.simulated
    assert price.entry.price_precision == 2
    assert not price.from_receipt


async def test_v1_has_prices_without_times(gateway):
    async with stream_of(gateway, "ETHUSDT", version=1) as stream, aclosing(stream.items()) as items:
        peer = await gateway.peer()
        peer.price(2, 3000.25)
        price = await next_of(StreamPrice, items)
    assert (peer.path, peer.subprotocol) == ("/api/v1/ws", "tickgate.v1")
    assert (price.symbol, price.price, price.simulated) == ("ETHUSDT", 3000.25, False)
    assert (price.exchange_us, price.delay_us, price.age_us) == (None, None, None)


async def test_quotes_come_when_asked_for(gateway):
    async with stream_of(gateway, kinds=("price", "quote")) as stream, aclosing(stream.items()) as items:
        (await gateway.peer()).quote(1, 99.5, 100.5)
        quote = await next_of(StreamQuote, items)
    assert (quote.symbol, quote.bid, quote.bid_size, quote.ask, quote.ask_size) == (
        "BTCUSDT",
        99.5,
        1.0,
        100.5,
        2.0,
    )
    assert quote.exchange_us == gateway.time_us - 700


async def test_symbols_are_added_and_taken_off_while_it_runs(gateway):
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        peer = await gateway.peer()
        await stream.subscribe("ETHUSDT")
        await peer.heard_back()
        assert peer.session.prices == {1, 2}
        await stream.unsubscribe(["BTCUSDT"])
        await peer.heard_back()
        assert peer.session.prices == {2}
        peer.abort()
        assert (await gateway.peer()).session.prices == {2}
        await next_of(Disconnected, items)


async def test_a_long_watchlist_is_asked_for_in_messages_that_the_gateway_reads(gateway):
    many = [f"BINANCE:{'LONG' * 10}{number}" for number in range(3_000)]
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        peer = await gateway.peer()
        await stream.subscribe([*many, "ETHUSDT"])
        await peer.heard_back()
        assert peer.session.prices == {1, 2}
        peer.abort()
        peer = await gateway.peer()
        await peer.heard_back()
        peer.price(2, 3000.0)
        assert (await next_of(StreamPrice, items)).symbol == "ETHUSDT"


async def test_a_symbol_that_is_not_carried_is_refused_by_name_and_the_rest_runs(gateway):
    async with stream_of(gateway, ["NOPE", "BTCUSDT"]) as stream, aclosing(stream.items()) as items:
        refused = await next_of(Refused, items)
        (await gateway.peer()).price(1, 1.0)
        assert (await next_of(StreamPrice, items)).symbol == "BTCUSDT"
    assert (refused.code, refused.symbols) == ("unknown_symbol", ["NOPE"])


async def test_plain_iteration_says_in_the_log_what_was_refused(gateway, caplog):
    async with stream_of(gateway, ["NOPE", "BTCUSDT"]) as stream:
        (await gateway.peer()).price(1, 1.0)
        async with asyncio.timeout(TIMEOUT_S), aclosing(aiter(stream)) as updates:
            assert isinstance(await anext(updates), StreamPrice)
    assert any("NOPE" in record.getMessage() for record in caplog.records)


async def test_leaving_the_loop_closes_the_connection_politely(gateway):
    async def first() -> StreamPrice | StreamQuote:
        async for update in stream_of(gateway):
            return update
        raise AssertionError("the stream ended")

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(first())
        peer = await gateway.peer()
        peer.price(1, 5.0)
        async with asyncio.timeout(TIMEOUT_S):
            await peer.lost.wait()
    assert reading.result().symbol == "BTCUSDT"
    assert peer.closed_with == 1000


async def test_stop_ends_the_iteration(gateway):
    async with stream_of(gateway) as stream:
        peer = await gateway.peer()
        peer.price(1, 5.0)
        async with asyncio.timeout(TIMEOUT_S):
            async for _ in stream:
                stream.stop()


async def test_a_slow_reader_gets_the_newest_price_and_the_number_of_changes(gateway):
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        peer = await gateway.peer()
        await next_of(Connected, items)
        for price in (1.0, 2.0, 3.0):
            peer.price(1, price)
        await peer.heard_back()
        newest = await next_of(StreamPrice, items)
    assert (newest.price, newest.changes, stream.conflated) == (3.0, 3, 2)


async def test_a_restarting_gateway_is_found_again_and_asked_again(gateway):
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        (await gateway.peer()).close(CloseCode.SERVICE_RESTART, "the server is stopping")
        lost = await next_of(Disconnected, items)
        peer = await gateway.peer()
        again = await next_of(Connected, items)
        peer.price(1, 7.0)
        assert (await next_of(StreamPrice, items)).price == 7.0
    assert (lost.code, lost.reason) == (1012, "the server is stopping")
    assert again.away_ms >= 0
    assert stream.stats.reconnects == 1


@pytest.mark.parametrize(
    "code", [CloseCode.BAD_MESSAGE, CloseCode.TOO_MANY_MESSAGES, CloseCode.LOGGED_OUT, 4499, 1003]
)
async def test_a_close_code_that_forbids_to_come_back_is_raised(gateway, code):
    async with stream_of(gateway) as stream:
        (await gateway.peer()).close(code, "no")
        with pytest.raises(StreamClosed) as raised:
            await next_of(StreamPrice, stream.items())
    assert (raised.value.code, raised.value.reason) == (code, "no")
    assert gateway.opened.empty()


@pytest.mark.parametrize("status", [HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND])
async def test_an_upgrade_refused_for_good_is_raised(gateway, status):
    gateway.refuse = Refusal(status, "no, never\n")
    with pytest.raises(StreamRefused, match=f"HTTP {int(status)}: no, never$"):
        await next_of(StreamPrice, stream_of(gateway).items())


async def test_a_gateway_that_is_overloaded_is_asked_again(gateway):
    gateway.refuse = Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "later\n")
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        assert (await next_of(Disconnected, items)).reason == "HTTP 503"
        gateway.refuse = None
        await next_of(Connected, items)


async def test_a_gateway_that_is_not_there_is_waited_for(unused_tcp_port):
    async with aclosing(Stream(f"127.0.0.1:{unused_tcp_port}", "BTCUSDT", patience=HASTY).items()) as items:
        for _ in range(3):
            assert (await next_of(Disconnected, items)).code == 1006


def flipped(frame: bytes) -> bytes:
    return frame[:-1] + bytes([frame[-1] ^ 1])


PRICE = encode_v2([Price(1, 0, 0, 1.0, 1.0)], 0)
HOSTILE = {
    "wrong CRC": (flipped(PRICE), "BadChecksum"),
    "an id that nothing introduced": (encode_v2([Price(9, 0, 0, 1.0, 1.0)], 0), "UnknownSymbolId"),
    "cut": (PRICE[:-3], "BadLength"),
    "empty": (b"", "BadLength"),
    "another version": (PRICE[:6] + b"\x07" + PRICE[7:], "BadVersion"),
}


@pytest.mark.parametrize(("frame", "error"), HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_bad_frame_is_counted_and_its_connection_replaced(gateway, frame, error):
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        peer = await gateway.peer()
        peer.send(frame)
        lost = await next_of(Disconnected, items)
        (await gateway.peer()).price(1, 8.0)
        assert (await next_of(StreamPrice, items)).price == 8.0
    assert lost.reason.startswith(error)
    assert peer.closed_with == CloseCode.BAD_MESSAGE
    assert stream.stats.bad_frames == 1
    assert stream.stats.bad_checksums == (error == "BadChecksum")


@pytest.mark.parametrize("text", [b"garbage", b"{}", b'{"type":"surprise"}', b"\xff\xfe"])
async def test_garbage_text_is_counted_and_its_connection_replaced(gateway, text):
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        (await gateway.peer()).send_text(text)
        await next_of(Disconnected, items)
        (await gateway.peer()).price(1, 8.0)
        assert (await next_of(StreamPrice, items)).price == 8.0
    assert stream.stats.bad_frames == 1


async def test_a_connection_cut_in_the_middle_of_a_frame_is_replaced(gateway):
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        peer = await gateway.peer()
        peer.transport.write(b"\x82\x28" + PRICE[:11])
        peer.transport.close()
        await next_of(Disconnected, items)
        (await gateway.peer()).price(1, 8.0)
        assert (await next_of(StreamPrice, items)).price == 8.0
    assert stream.stats.frames == 1


async def test_a_gateway_that_goes_mute_is_left(gateway):
    patience = Patience(ping_interval_s=0.05, ping_timeout_s=0.05, close_s=0.05, first_retry_s=0.01)
    async with stream_of(gateway, patience=patience) as stream, aclosing(stream.items()) as items:
        (await gateway.peer()).transport.pause_reading()
        assert "ping timeout" in (await next_of(Disconnected, items)).reason
        await next_of(Connected, items)


async def test_a_port_that_answers_nothing_is_given_up_in_time():
    silent = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    async with silent:
        url = f"ws://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        patience = Patience(open_s=0.05, first_retry_s=0.01)
        async with aclosing(Stream(url, "BTCUSDT", patience=patience).items()) as items:
            assert "timed out" in (await next_of(Disconnected, items)).reason


async def test_a_ping_in_text_is_answered(gateway):
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        await (await gateway.peer()).heard_back()
        await next_of(Connected, items)


async def test_a_gateway_without_the_asked_version_is_refused(gateway):
    gateway.subprotocols = ()
    with pytest.raises(StreamRefused, match=r"tickgate\.v2"):
        await next_of(StreamPrice, stream_of(gateway).items())


async def test_ages_are_of_live_records_only(gateway):
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        peer = await gateway.peer()
        for price in (1.0, 2.0):
            peer.price(1, price)
            await next_of(StreamPrice, items)
    assert len(stream.stats.ages_us) == 1
    assert stream.stats.age_us(0.5) == stream.stats.ages_us[0]
    assert (stream.stats.frames, stream.stats.records, stream.stats.bytes) == (2, 2, 80)


async def test_symbols_of_a_new_dictionary_replace_those_of_the_old(gateway):
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        peer = await gateway.peer()
        peer.send_text(format_message(Symbols([SymbolEntry(1, "BTCUSDT", "simulated", 5)])))
        peer.price(1, 1.0)
        assert (await next_of(StreamPrice, items)).entry.price_precision == 5


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("ws://127.0.0.1:8080", "ws://127.0.0.1:8080/api/v1/ws"),
        ("http://127.0.0.1:8080/", "ws://127.0.0.1:8080/api/v1/ws"),
        ("https://prices.example", "wss://prices.example/api/v1/ws"),
        ("127.0.0.1:8080", "ws://127.0.0.1:8080/api/v1/ws"),
        ("wss://prices.example/api/v1/ws", "wss://prices.example/api/v1/ws"),
        ("http://[::1]:8080/other/ws?token=1", "ws://[::1]:8080/other/ws?token=1"),
    ],
)
def test_addresses_are_read_as_users_write_them(written, read):
    assert stream_url(written) == read


@pytest.mark.parametrize("written", ["", "ftp://127.0.0.1", "ws://", "http:///api", "127.0.0.1:0"])
def test_what_is_no_address_is_refused_at_once(written):
    with pytest.raises(ValueError, match="not the address"):
        Stream(written, "BTCUSDT")


@pytest.mark.parametrize(
    ("kinds", "version"),
    [(("candles",), 2), (("candle",), 1), (("trade",), 1), (("price", "quote"), 1), ((), 2), (("price",), 3)],
)
def test_a_kind_that_the_version_does_not_have_is_refused_at_once(kinds, version):
    with pytest.raises(ValueError, match=r"has the kinds|no stream of version"):
        Stream("127.0.0.1:1", "BTCUSDT", kinds=kinds, version=version)
