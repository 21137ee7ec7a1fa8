"""What compact prices weigh, everything counted: records, bases, and the 16 bytes before each frame."""

import gzip
import json
import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from compact_reader import CompactReader

from gateway.ws.compact import CompactPrices
from processors.symbol_state import SymbolState
from processors.tape import TradeTape
from protocol.events import Kind, Price
from protocol.frames import LAYOUTS, decode_v2, encode_v2
from protocol.symbols import Instrument, SymbolTable
from protocol.table import PriceTable

CAPTURES = Path(__file__).parents[4] / "shared" / "data" / "binance-ws"
NOW_US = 1_790_000_000_000_000
Value = tuple[float, float]


def sent(series: Sequence[Sequence[Value]], digits: Sequence[tuple[int, int]]) -> tuple[CompactReader, int]:
    """Send the values of several symbols, one of each in every frame; return what a reader has of it, who has
    checked every value, and how many there were."""
    symbols, table = SymbolTable(), PriceTable(Kind.PRICE)
    for symbol_id, (price_digits, quantity_digits) in enumerate(digits, 1):
        name = f"COIN{symbol_id}USDT"
        symbols.add(
            Instrument(
                id=symbol_id, symbol=name, venue="binance", native=name,
                price_precision=price_digits, quantity_precision=quantity_digits,
            )
        )  # fmt: skip
    compact, reader, count = CompactPrices(table, symbols), CompactReader(), 0
    for values in zip(*series, strict=False):
        newest = dict(enumerate(values, 1))
        rows = [Price(symbol_id, 256, 0, *value) for symbol_id, value in newest.items()]
        table.update(decode_v2(encode_v2(rows, NOW_US)))
        reader.read(compact.on_flush(dict.fromkeys(newest, 1), NOW_US).of(list(newest)))
        assert reader.newest == newest
        count += len(newest)
    return reader, count


def captured(name: str, quantity_digits: int) -> Iterator[Value]:
    """Return price and volume after each trade, as the price processor says them."""
    state = SymbolState(1, "BTCUSDT", TradeTape(10), 10.0**quantity_digits, stated_volume=30_000.0)
    with gzip.open(CAPTURES / name, "rt") as lines:
        for line in lines:
            message = json.loads(line.split(" ", 1)[1])
            if message.get("stream", "").endswith("@trade"):
                state.traded_since += float(message["data"]["q"])
                yield float(message["data"]["p"]), state.volume


@pytest.mark.skipif(not CAPTURES.exists(), reason=f"captured messages are not there: {CAPTURES}")
@pytest.mark.parametrize(
    ("name", "digits"),
    [
        ("spot-btcusdt-20240808.gz", (2, 5)),
        ("spot-btcusdt-20240809.gz", (2, 5)),
        ("usdm-btcusdt-20240808.gz", (1, 3)),
    ],
)
@pytest.mark.parametrize("records_a_frame", [20, 50])
def test_an_update_of_captured_trades_takes_at_most_8_bytes(name, digits, records_a_frame):
    values = list(captured(name, digits[1]))
    length = len(values) // records_a_frame  # each part of the stream plays a symbol of its own
    parts = [values[start : start + length] for start in range(0, length * records_a_frame, length)]
    reader, count = sent(parts, [digits] * records_a_frame)
    assert count > 9_000
    assert reader.bytes / count <= 8.0
    assert reader.records[Kind.PRICE] == 0


def wander(rng: random.Random, price: float, volume: float, digits: tuple[int, int]) -> Iterator[Value]:
    """Let a market trade, two seconds' worth at a time, and state its volume anew now and then."""
    ticks, size = round(price * 10 ** digits[0]), volume / 43_200
    while True:
        ticks = max(1, ticks + round(rng.gauss(0.0, max(1.0, ticks * 3e-5))))
        volume += size * rng.lognormvariate(-0.5, 1.0)
        if rng.random() < 0.1:
            volume -= 10 * size * rng.lognormvariate(0.0, 0.3)
        yield ticks / 10 ** digits[0], round(volume * 10 ** digits[1]) / 10 ** digits[1]


def test_symbols_of_all_sizes_take_less_than_half_of_prices_and_none_takes_much_more():
    rng = random.Random(7)
    markets = [(64_000.0, 25e3, (2, 5)), (0.1, 1e9, (5, 0)), (8e-6, 1e12, (8, 0)), (1.3e-5, 5e11, (8, 0))]
    while len(markets) < 50:
        price = 10.0 ** rng.uniform(-4.0, 3.5)
        volume = 10.0 ** rng.uniform(7.0, 9.0) / price
        digits = (4 - math.floor(math.log10(price)), max(0, 7 - math.ceil(math.log10(volume))))
        markets.append((price, volume, digits))
    series = [[value for _, value in zip(range(200), wander(rng, *one), strict=False)] for one in markets]
    digits_of_all = [digits for _, _, digits in markets]
    reader, count = sent(series, digits_of_all)
    assert reader.bytes / count < 12.0
    assert reader.records[Kind.PRICE] / count < 0.15
    for values, digits in zip(series, digits_of_all, strict=True):
        alone, count = sent([values], [digits])
        # The worst: every fourth value comes with a BASE, the others as PRICE.
        weight = sum(many * LAYOUTS[kind].dtype.itemsize for kind, many in alone.records.items())
        assert weight <= 26 * count
