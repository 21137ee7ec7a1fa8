"""The terminal client, run whole: lines into a pipe, a picture in a terminal, exit codes."""

import asyncio
import io
import os
import signal

import pytest
from rich.console import Console

import clients.watch
from clients.board import Board
from clients.stream import Stream
from clients.updates import Connected, Disconnected, Refused, from_v1, from_v2
from clients.watch import line, run_watch, sentence, watch_live
from protocol.control import AutoSubscribe, AutoUnsubscribe, MarketWatchSubscribe, SymbolEntry, WatchChange
from protocol.errors import CloseCode
from protocol.events import Price, PriceUpdate, Quote

TIMEOUT_S = 10.0
ENTRY = SymbolEntry(1, "BTCUSDT", "simulated", 2, quantity_precision=3, simulated=True)


async def test_a_pipe_gets_one_line_an_update_until_the_interrupt(gateway, capfd):
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(run_watch(gateway.url, ["BTCUSDT"], 2))
        peer = await gateway.peer()
        peer.price(1, 64000.5)
        peer.quote(1, 64000.0, 64001.0)
        await peer.heard_back()
        os.kill(os.getpid(), signal.SIGINT)
        async with asyncio.timeout(TIMEOUT_S):
            assert await watching == 0
    out, err = capfd.readouterr()
    words = [text.split()[1:4] for text in out.splitlines()]
    assert words == [["BTCUSDT", "price", "64000.50"], ["BTCUSDT", "quote", "64000.00"]]
    assert "connected to" in err


async def test_a_close_code_for_good_is_exit_1_with_its_reason(gateway, capfd):
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(run_watch(gateway.url, ["BTCUSDT"], 1))
        (await gateway.peer()).close(CloseCode.BAD_MESSAGE, "not understood")
    assert watching.result() == 1
    assert "4400 not understood" in capfd.readouterr().err


async def test_symbols_that_are_all_unknown_are_exit_1_and_named(gateway, capfd):
    async with asyncio.timeout(TIMEOUT_S):
        assert await run_watch(gateway.url, ["NOPE", "neither"], 2) == 1
    assert "carries none of NOPE, neither" in capfd.readouterr().err


async def test_a_bad_address_is_exit_2(capfd):
    assert await run_watch("ftp://nowhere", ["BTCUSDT"], 2) == 2
    assert "not the address" in capfd.readouterr().err


async def test_a_reader_that_leaves_ends_it_quietly(gateway, monkeypatch):
    readable, writable = os.pipe()
    os.close(readable)
    with os.fdopen(writable, "w") as pipe:
        monkeypatch.setattr(clients.watch.sys, "stdout", pipe)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(run_watch(gateway.url, ["BTCUSDT"], 2))
            (await gateway.peer()).price(1, 1.0)
    assert watching.result() == 0


async def test_a_terminal_gets_a_picture_and_keeps_the_last_one(gateway):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, height=20)
    stream = Stream(gateway.url, "BTCUSDT", kinds=("price", "quote"))
    async with stream, asyncio.TaskGroup() as group:
        group.create_task(watch_live(stream, Board(stream.url, ["BTCUSDT"], 2), console))
        peer = await gateway.peer()
        peer.price(1, 64000.5)
        await peer.heard_back()
        stream.stop()
    last = out.getvalue().split("\x1b[?1049l")[-1]  # after the alternate screen
    assert "64,000.50" in last
    assert "SIMULATED" in last


def test_a_line_is_words_in_a_fixed_order():
    price = from_v2(Price(1, 3 << 8, 500, 64000.5, 1.25), ENTRY, 1_700_000_000_000_500, 1_700_000_000_002_000)
    assert line(price) == "2023-11-14T22:13:20.002+00:00 BTCUSDT price 64000.50 1.250 2.0 3 SIMULATED"
    quote = from_v2(Quote(1, 0, 0, 1.0, 2.0, 3.0, 4.0), ENTRY, 0, 1_000)
    assert line(quote).split()[2:] == ["quote", "1.00", "2.000", "3.00", "4.000", "1.0", "1", "SIMULATED"]
    v1 = from_v1(PriceUpdate(1, 1.0, 2.0), SymbolEntry(1, "BTCUSDT", "binance", 2), 0)
    assert line(v1).split()[2:] == ["price", "1.00", "2.00000000", "-", "1"]


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Connected("ws://g", 0), "connected to ws://g"),
        (Connected("ws://g", 2_500), "connected to ws://g again; 2.5 s were not seen"),
        (Disconnected(1012, "", 400), "no stream: 1012; trying again in 0.4 s"),
        (Refused("unknown_symbol", "not carried", ["A", "B"]), "not carried: A, B"),
        (Refused("unsupported_kind", "no such kind", []), "no such kind"),
        (MarketWatchSubscribe(["A", "B"]), "on the market watch: A, B"),
        (MarketWatchSubscribe([]), "on the market watch: nothing"),
        (AutoSubscribe(WatchChange("A")), "A is on the market watch now"),
        (AutoUnsubscribe(WatchChange("A")), "A is not on the market watch any more"),
    ],
)
def test_events_are_told_in_sentences(event, text):
    assert sentence(event) == text
