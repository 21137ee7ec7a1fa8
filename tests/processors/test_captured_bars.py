"""Bars from trades that were really made equal those that a few lines make of the captured text."""

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import pytest
from trading_days import FINAL, MINUTE, NATIVE, Kept, numbers, processor

from processors.bars.minutes import GRACE_MS
from protocol.events import Trade, TradeFlag
from protocol.intervals import open_of

CAPTURES = Path(__file__).parents[3] / "shared" / "data" / "binance-ws"
SPOT = ("spot-btcusdt-20240808.gz", "spot-btcusdt-20240809.gz")

pytestmark = pytest.mark.skipif(not CAPTURES.exists(), reason=f"captured messages are not there: {CAPTURES}")


def captured(*names: str) -> Iterator[dict[str, str]]:
    for name in names:
        with gzip.open(CAPTURES / name, "rt") as lines:
            for line in lines:
                message = json.loads(line.split(" ", 1)[1])
                if message.get("stream", "").endswith("@trade"):
                    yield message["data"]


def as_trade(said: dict[str, str]) -> Trade:
    flags = TradeFlag.TAKER_SOLD if said["m"] else 0
    return Trade(1, flags, 1, int(said["t"]), int(said["T"]) * 1_000, float(said["p"]), float(said["q"]))


def minute_name(said: dict[str, str]) -> str:
    return datetime.fromtimestamp(int(said["T"]) // 1_000, UTC).strftime("%m-%d %H:%M")


@pytest.mark.parametrize(
    ("names", "minutes", "trades"),
    [
        (SPOT, 12, 19_904),
        (("usdm-btcusdt-20240808.gz",), 6, 21_313),
        (("coinm-btcusd_perp-20240808.gz",), 7, 2_286),
    ],
)
def test_bars_of_captured_trades_are_those_of_the_text(names: tuple[str, ...], minutes: int, trades: int):
    said = list(captured(*names))
    candles = processor()
    kept = Kept(candles)
    for start in range(0, len(said), 37):
        candles.on_trades(NATIVE, [as_trade(one) for one in said[start : start + 37]])
        kept.take()
    candles.on_time(open_of(int(said[-1]["T"]), 1) + MINUTE + GRACE_MS)
    kept.take()
    by_hand = {name: list(group) for name, group in groupby(said, key=minute_name)}
    final = kept.final(1)
    assert (len(final), sum(row.trades for row in final.values())) == (minutes, trades)
    assert len(by_hand) == minutes
    for row, group in zip(final.values(), by_hand.values(), strict=True):
        prices = [float(one["p"]) for one in group]
        sizes = [float(one["q"]) for one in group]
        assert (row.open, row.high, row.low, row.close) == (
            prices[0], max(prices), min(prices), prices[-1],
        )  # fmt: skip
        assert row.volume == pytest.approx(sum(sizes), rel=1e-12)
        assert row.quote_volume == pytest.approx(sum(p * q for p, q in zip(prices, sizes, strict=True)))
        bought = sum(q for q, one in zip(sizes, group, strict=True) if not one["m"])
        assert row.taker_buy == pytest.approx(bought, rel=1e-12, abs=1e-12)
        assert (row.trades, row.revision, row.flags) == (len(group), 0, FINAL)


def test_a_new_day_begins_at_midnight_utc_in_the_middle_of_the_capture():
    said = list(captured(*SPOT))
    midnight = open_of(int(said[-1]["T"]), 1_440)
    candles = processor()
    candles.on_trades(NATIVE, [as_trade(one) for one in said])
    candles.on_time(open_of(int(said[-1]["T"]), 1) + MINUTE + GRACE_MS)
    kept = Kept(candles)
    kept.take()
    today = [one for one in said if int(one["T"]) >= midnight]
    assert 0 < len(today) < len(said)
    for interval in (3, 5, 15, 60, 240, 1_440):
        first = kept.bars[interval][midnight]
        assert first.open == float(today[0]["p"])
    assert numbers(kept.bars[1_440][midnight]).trades == len(today)
    assert not [one for one in kept.bars[1_440] if one < midnight]
    assert midnight - MINUTE in kept.bars[1]
