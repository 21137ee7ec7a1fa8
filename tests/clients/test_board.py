"""The terminal view's picture, drawn without a terminal."""

import io
import re

import pytest
from rich.console import Console

from clients.board import STALE_S, Board, Rate, compact
from clients.stats import StreamStats
from clients.updates import Connected, Disconnected, Refused, Update, from_v1, from_v2
from protocol.control import AutoUnsubscribe, SymbolEntry, WatchChange
from protocol.events import Price, PriceUpdate, Quote

BTC = SymbolEntry(1, "BTCUSDT", "simulated", 2, name="BINANCE:BTCUSDT", simulated=True)
PEPE = SymbolEntry(2, "PEPEUSDT", "binance", 8, name="BINANCE:PEPEUSDT")


def price(entry: SymbolEntry, value: float, age_us: int = 1_500) -> Update:
    return from_v2(Price(entry.id, 1 << 8, 0, value, 1_234_567.0), entry, 10_000_000, 10_000_000 + age_us)


def quote(entry: SymbolEntry, bid: float, ask: float) -> Update:
    return from_v2(Quote(entry.id, 1 << 8, 0, bid, 1.0, ask, 1.0), entry, 10_000_000, 10_001_000)


def board(*symbols: str, version: int = 2) -> Board:
    return Board("ws://gateway/api/v1/ws", symbols or ("BTCUSDT", "PEPEUSDT"), version)


def drawn(
    picture: Board, now_s: float = 0.0, *, width: int = 120, height: int = 30, colour: bool = False
) -> str:
    out = io.StringIO()
    console = Console(
        file=out,
        width=width,
        height=height,
        force_terminal=colour,
        color_system="standard" if colour else None,
    )
    console.print(picture.render(StreamStats(), now_s, width, height))
    return out.getvalue()


def live_board(*symbols: str) -> Board:
    picture = board(*symbols)
    picture.on_item(Connected("ws://gateway/api/v1/ws", 0), 0.0)
    for item in (price(PEPE, 0.00000987), price(BTC, 64000.0), quote(BTC, 63999.5, 64000.5)):
        picture.on_item(item, 0.0)
    return picture


def test_a_wide_terminal_shows_everything_with_the_right_decimals():
    text = drawn(live_board())
    for word in (
        "64,000.00",
        "0.00000987",
        "63,999.50",
        "64,000.50",
        "1.23 M",
        "live",
        "updates/s",
        "p99",
        "age",
    ):
        assert word in text


def test_rows_stand_in_the_order_in_which_they_were_asked_for():
    text = drawn(live_board("btcusdt", "BINANCE:PEPEUSDT"))
    assert text.index("BTCUSDT") < text.index("PEPEUSDT")
    text = drawn(live_board("BINANCE:PEPEUSDT", "btcusdt"))
    assert text.index("PEPEUSDT") < text.index("BTCUSDT")


@pytest.mark.parametrize("width", [20, 40, 64, 80, 104, 200])
@pytest.mark.parametrize("height", [3, 8, 24])
def test_the_picture_fits_its_terminal(width, height):
    lines = drawn(live_board(), width=width, height=height).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    assert len(lines) <= max(height, 6)


def test_simulated_is_said_in_the_header_and_by_row_where_rows_differ():
    headline, *rest = drawn(live_board()).splitlines()
    assert "SIMULATED" in headline
    assert [("SIMULATED" in line) for line in rest if "USDT" in line] == [True, False]


def test_simulated_is_said_even_where_hardly_anything_fits():
    assert "SIMULATED" in drawn(live_board(), width=26)


def test_a_real_price_is_not_called_simulated():
    picture = board("PEPEUSDT")
    picture.on_item(price(PEPE, 0.00000987), 0.0)
    assert "SIMULATED" not in drawn(picture)


def test_a_price_flashes_green_when_it_rises_and_red_when_it_falls_and_then_rests():
    picture = live_board()
    green, red = r"\x1b\[1;32m *", r"\x1b\[1;31m *"
    picture.on_item(price(BTC, 64001.0), 1.0)
    assert re.search(f"{green}64,001.00", drawn(picture, 1.1, colour=True))
    assert not re.search(f"{green}64,001.00", drawn(picture, 2.0, colour=True))
    picture.on_item(price(BTC, 63000.0), 2.0)
    assert re.search(f"{red}63,000.00", drawn(picture, 2.1, colour=True))


def test_the_state_tells_the_truth():
    picture = board()
    assert picture.state(0.0)[0] == "connecting"
    picture.on_item(Disconnected(1006, "Connection refused", 3_000), 0.0)
    assert picture.state(0.0)[0] == "reconnecting in 3 s: Connection refused"
    picture.on_item(Connected("ws://gateway", 0), 3.0)
    assert picture.state(3.0)[0] == "connected, nothing heard yet"
    picture.on_item(price(BTC, 1.0), 4.0)
    assert picture.state(4.0) == ("live", "green")
    assert picture.state(4.0 + STALE_S)[0] == "stale, silent for 5 s"
    picture.failure = "the gateway closed the stream: 4400"
    assert picture.state(5.0)[1] == "red"


def test_what_is_not_carried_is_named():
    picture = board("BTCUSDT", "nope")
    picture.on_item(Refused("unknown_symbol", "not carried", ["nope"]), 0.0)
    assert "not served: nope" in drawn(picture)
    assert not picture.all_refused
    picture.on_item(Refused("unknown_symbol", "not carried", ["BTCUSDT"]), 0.0)
    assert picture.all_refused


def test_a_gateway_that_starts_anew_and_knows_no_symbol_yet_does_not_end_the_view():
    picture = live_board("BTCUSDT")
    picture.on_item(Refused("unknown_symbol", "not carried", ["BTCUSDT"]), 1.0)
    assert not picture.all_refused
    picture.on_item(Connected("ws://gateway", 0), 2.0)
    assert "not served" not in drawn(picture, 2.0)


def test_the_age_is_of_the_value_and_not_of_its_arrival():
    picture = board("BTCUSDT")
    picture.on_item(price(BTC, 1.0, age_us=30_000_000), 0.0)
    assert "30 s" in drawn(picture, 0.0)


def test_v1_has_no_columns_that_it_cannot_fill():
    picture = board("BTCUSDT", version=1)
    picture.on_item(from_v1(PriceUpdate(1, 64000.0, 5.0), BTC, 0), 0.0)
    text = drawn(picture)
    assert "64,000.00" in text
    assert "bid" not in text


def test_a_rate_is_of_the_last_seconds():
    rate = Rate()
    assert rate.per_second(100, 0.0) == 0.0
    assert rate.per_second(120, 2.0) == 10.0
    assert rate.per_second(120, 10.0) == 0.0


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0.5, "0.50  "), (1_234.0, "1.23 k"), (2.5e6, "2.50 M"), (3e9, "3.00 G"), (1e12, "1.00 T")],
)
def test_volumes_are_written_short(amount, text):
    assert compact(amount) == text


def test_what_leaves_the_market_watch_leaves_the_picture_unless_it_was_named():
    picture = live_board("BTCUSDT")
    for symbol in ("PEPEUSDT", "BTCUSDT"):
        picture.on_item(AutoUnsubscribe(WatchChange(symbol)), 0.0)
    text = drawn(picture)
    assert "BTCUSDT" in text
    assert "PEPEUSDT" not in text


def test_with_a_market_watch_there_may_be_something_to_show_though_all_that_was_named_is_refused():
    refused = Refused("unknown_symbol", "not carried", ["NOSUCH"])
    alone = Board("ws://gateway", ["NOSUCH"], 2)
    with_watch = Board("ws://gateway", ["NOSUCH"], 2, has_market_watch=True)
    for picture in (alone, with_watch):
        picture.on_item(refused, 0.0)
    assert (alone.all_refused, with_watch.all_refused) == (True, False)
