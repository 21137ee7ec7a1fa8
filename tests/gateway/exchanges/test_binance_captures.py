"""Every line that was ever captured from Binance, in `../shared/data` beside the checkout.

Depth updates are not ours and emit nothing; a snapshot from REST, which the captures mix in, is
no stream message and is refused.
"""

import gzip
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from gateway.exchanges.binance import COINM, SPOT, USDM, Binance
from gateway.exchanges.binance_rest import COINM_REST, SPOT_REST, USDM_REST, BinanceRest
from gateway.exchanges.errors import BadPayload
from protocol.symbols import Instrument

DATA = Path(__file__).parents[4] / "shared" / "data"
SOME_SECONDS = DATA / "captures" / "thirty-seconds"

pytestmark = pytest.mark.skipif(not DATA.exists(), reason=f"captured messages are not there: {DATA}")


def count_outcomes(market: Binance, messages: Iterator[bytes]) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    for message in messages:
        try:
            outcomes[type(market.parse(message)).__name__.removesuffix("Type")] += 1
        except BadPayload:
            assert message.startswith(b'{"lastUpdateId":'), message[:200]
            outcomes["REST"] += 1
    return outcomes


def unpack(path: Path) -> bytes:
    with path.open("rb") as file:
        return zstandard.ZstdDecompressor().stream_reader(file).read()


@pytest.mark.parametrize(
    ("name", "market", "expected"),
    [
        ("spot-btcusdt-20240808.gz", SPOT, {"BookTop": 28_040, "RawTrade": 9_757, "None": 3_451, "REST": 1}),
        ("spot-btcusdt-20240809.gz", SPOT, {"BookTop": 45_134, "RawTrade": 10_147, "None": 3_044}),
        ("usdm-btcusdt-20240808.gz", USDM, {"BookTop": 66_089, "RawTrade": 21_313, "None": 6_551, "REST": 1}),
        ("coinm-btcusd_perp-20240808.gz", COINM,
         {"BookTop": 19_136, "RawTrade": 2_286, "None": 26_847, "REST": 1}),
    ],
)  # fmt: skip
def test_every_captured_message_of_2024_is_understood(
    name: str, market: Binance, expected: dict[str, int]
) -> None:
    with gzip.open(DATA / "binance-ws" / name) as lines:
        assert count_outcomes(market, (line.split(b" ", 1)[1].rstrip() for line in lines)) == expected


@pytest.mark.parametrize(
    ("name", "market", "expected"),
    [
        ("BINANCE", SPOT, {"BookTop": 84, "AggTrade": 2, "Bar": 2, "None": 177}),
        ("BINANCE_FUTURES", USDM, {"BookTop": 613, "AggTrade": 91, "Bar": 67, "None": 764}),
        ("BINANCE_DELIVERY", COINM, {"BookTop": 2_240, "AggTrade": 51, "Bar": 33, "None": 2_047}),
    ],
)  # fmt: skip
def test_every_captured_message_of_2021_is_understood(
    name: str, market: Binance, expected: dict[str, int]
) -> None:
    lines = unpack(SOME_SECONDS / f"{name}.ws.1.0.zst").splitlines()
    messages = (line.split(b": ", 1)[1] for line in lines if b": {" in line)
    assert count_outcomes(market, messages) == expected


@pytest.mark.parametrize(
    ("name", "market", "counts", "some"),
    [
        ("BINANCE", SPOT_REST, (1_695, 1_222), {"BTCUSDT": 2, "ETHBTC": 6}),
        ("BINANCE_FUTURES", USDM_REST, (122, 121), {"BTCUSDT.P": 2, "BTCUSDT_210924": 1, "AKROUSDT.P": 5}),
        ("BINANCE_DELIVERY", COINM_REST, (36, 36), {"BTCUSD.P": 1, "BTCUSD_211231": 1, "TRXUSD.P": 5}),
    ],
)  # fmt: skip
def test_captured_listings_are_understood(
    name: str, market: BinanceRest, counts: tuple[int, int], some: dict[str, int]
) -> None:
    listed = {one.symbol: one for one in captured_listing(name, market)}
    assert (len(listed), sum(one.is_active for one in listed.values())) == counts
    assert {symbol: listed[symbol].price_precision for symbol in some} == some
    assert not any(one.simulated for one in listed.values())


def captured_listing(name: str, market: BinanceRest) -> list[Instrument]:
    answer = unpack(SOME_SECONDS / f"{name}.0.zst").split(b": ", 1)[1].split(b"\n", 1)[0]
    return market.parse_instruments(answer)


@pytest.mark.parametrize(
    ("name", "market", "symbol", "stated"),
    [
        ("BINANCE", SPOT_REST, "BTCUSDT", ("0.01", "0.00001", "9000", "0.00001", "10")),
        ("BINANCE_FUTURES", USDM_REST, "BTCUSDT.P", ("0.01", "0.001", "1000", "0.001", "5")),
        ("BINANCE_DELIVERY", COINM_REST, "BTCUSD.P", ("0.1", "1", "1000000", "1", "")),
    ],
)
def test_what_captured_listings_state_of_orders_is_read(
    name: str, market: BinanceRest, symbol: str, stated: tuple[str, ...]
) -> None:
    [one] = [one for one in captured_listing(name, market) if one.symbol == symbol]
    assert (one.tick_size, one.min_quantity, one.max_quantity, one.step_size, one.min_notional) == stated
