"""What the simulated exchange lists: the same coins on spot, USD-M and COIN-M.

Prices and quantities are integers everywhere inside, of ticks and of lots; they become decimal
text only on the wire. Spot writes every number with eight decimals, futures with the
instrument's own precision.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final

from gateway.sim.market.noise import key_of, unit

PERPETUAL_END_MS: Final = 4_133_404_800_000
"""What Binance writes as the delivery date of a contract that never delivers."""
WIRE_DECIMALS: Final = 8
CHEAPEST_COINM: Final = 0.01
"""Binance lists nothing cheaper on COIN-M; and base amounts of 10^-8 would outgrow 64 bits."""
GENERATED_SEED: Final = key_of("generated symbols")


class Board(Enum):
    """One of the exchange's three markets; the value is the root of its REST paths."""

    SPOT = "api/v3"
    USDM = "fapi/v1"
    COINM = "dapi/v1"


@dataclass(frozen=True, slots=True, eq=False)
class Instrument:
    """One thing that trades. Compared by identity: there is one of each in a market."""

    board: Board
    symbol: str
    base: str
    quote: str
    pair: str
    contract_type: str
    """PERPETUAL, CURRENT_QUARTER, or nothing on spot."""
    delivery_ms: int
    contract_size: int
    """US dollars a contract on COIN-M, else 1."""
    price: float
    """About what it costs at genesis, in quote units."""
    turnover: float
    """About what trades in a minute, in quote units."""
    tick_decimals: int
    price_digits: int
    lot_decimals: int
    quantity_digits: int

    @property
    def inverse(self) -> bool:
        """Whether quantities are contracts of a fixed worth in quote, as on COIN-M."""
        return self.board is Board.COINM

    @property
    def turnover_digits(self) -> int:
        """Decimals of a price times a quantity, or of COIN-M's base amounts."""
        return 8 if self.inverse else self.tick_decimals + self.lot_decimals

    def price_text(self, ticks: int) -> str:
        return decimal(ticks, self.tick_decimals, self.price_digits)

    def quantity_text(self, lots: int) -> str:
        return decimal(lots, self.lot_decimals, self.quantity_digits)

    def turnover_text(self, amount: int) -> str:
        shown = WIRE_DECIMALS if self.board is Board.SPOT else self.turnover_digits
        return decimal(amount, self.turnover_digits, shown)


def decimal(value: int, places: int, shown: int) -> str:
    """Write an integer of 10^-places units with `shown` decimals, at least `places`."""
    if not places:
        return f"{value}.{'0' * shown}" if shown else str(value)
    text = str(value)
    if value < 10**places:
        text = text.zfill(places + 1 + (value < 0))
    return f"{text[:-places]}.{text[-places:]}{'0' * (shown - places)}"


# base, price, millions traded a minute. Invented, of the right size.
_COINS: Final = (
    ("BTC", 105_000.0, 2.0),
    ("ETH", 4_000.0, 1.2),
    ("SOL", 180.0, 0.5),
    ("BNB", 900.0, 0.3),
    ("XRP", 2.5, 0.4),
    ("DOGE", 0.2, 0.1),
    ("ADA", 0.65, 0.1),
    ("币安人生", 0.15, 0.05),
    ("TRX", 0.3, 0.08),
    ("LINK", 18.0, 0.08),
    ("AVAX", 20.0, 0.08),
    ("SUI", 2.6, 0.07),
    ("LTC", 95.0, 0.06),
    ("DOT", 3.1, 0.05),
    ("BCH", 510.0, 0.05),
    ("SHIB", 0.000_01, 0.05),
    ("UNI", 6.3, 0.04),
    ("NEAR", 2.2, 0.04),
    ("APT", 3.4, 0.03),
    ("PEPE", 0.000_007, 0.06),
)


def list_instruments(count: int, genesis_ms: int) -> list[Instrument]:
    """List `count` instruments on each board."""
    coins = [*_COINS, *(_generated(number) for number in range(len(_COINS) + 1, count + 5))]
    delivery = _quarter_end(datetime.fromtimestamp(genesis_ms / 1000, UTC) + timedelta(days=10))
    listed = [_spot(*coin) for coin in coins[:count]] + [_usdm(*coin) for coin in coins[:count]]
    coinm: list[Instrument] = []
    for coin in coins:
        if coin[0].isascii() and coin[1] >= CHEAPEST_COINM:
            coinm.append(_coinm(*coin, delivery=None))
            if coin[0] in ("BTC", "ETH"):
                coinm.append(_coinm(*coin, delivery=delivery))
    return listed + coinm[:count]


def make_instrument(board: Board, symbol: str, price: float) -> Instrument | None:
    """Make one that was not listed from the start; None for a name that is no symbol of the board."""
    quote = {Board.SPOT: "USDT", Board.USDM: "USDT", Board.COINM: "USD_PERP"}[board]
    base = symbol.removesuffix(quote)
    if not base or base == symbol or symbol.upper() != symbol:
        return None
    if board is Board.COINM:
        return _coinm(base, price, 0.02, delivery=None)
    return (_spot if board is Board.SPOT else _usdm)(base, price, 0.02)


def _generated(number: int) -> tuple[str, float, float]:
    price = 10 ** (4.0 * unit(GENERATED_SEED, number) - 1.3)
    return f"SIM{number:03d}", float(f"{price:.4g}"), 0.02


def _magnitude(price: float) -> int:
    return math.floor(math.log10(price))


def _tick_decimals(price: float) -> int:
    """Four to five significant digits and never less than cents, as Binance's spot has."""
    return min(max(4 - _magnitude(price), 2), 8)


def _futures_tick_decimals(price: float) -> int:
    return _tick_decimals(price) - (price >= 1)


def _lot_decimals(price: float) -> int:
    """A lot is worth about a dollar or less."""
    return min(max(_magnitude(price) + 1, 0), 5)


def _spot(base: str, price: float, millions: float) -> Instrument:
    return Instrument(
        board=Board.SPOT,
        symbol=f"{base}USDT",
        base=base,
        quote="USDT",
        pair=f"{base}USDT",
        contract_type="",
        delivery_ms=0,
        contract_size=1,
        price=price,
        turnover=millions * 1e6,
        tick_decimals=_tick_decimals(price),
        price_digits=WIRE_DECIMALS,
        lot_decimals=_lot_decimals(price),
        quantity_digits=WIRE_DECIMALS,
    )


def _usdm(base: str, price: float, millions: float) -> Instrument:
    digits = max(_lot_decimals(price) - 2, 0)
    return Instrument(
        board=Board.USDM,
        symbol=f"{base}USDT",
        base=base,
        quote="USDT",
        pair=f"{base}USDT",
        contract_type="PERPETUAL",
        delivery_ms=PERPETUAL_END_MS,
        contract_size=1,
        price=price * 1.0004,
        turnover=millions * 4e6,
        tick_decimals=_futures_tick_decimals(price),
        price_digits=_tick_decimals(price),
        lot_decimals=digits,
        quantity_digits=digits,
    )


def _coinm(base: str, price: float, millions: float, delivery: datetime | None) -> Instrument:
    digits = _futures_tick_decimals(price)
    return Instrument(
        board=Board.COINM,
        symbol=f"{base}USD_PERP" if delivery is None else f"{base}USD_{delivery:%y%m%d}",
        base=base,
        quote="USD",
        pair=f"{base}USD",
        contract_type="PERPETUAL" if delivery is None else "CURRENT_QUARTER",
        delivery_ms=PERPETUAL_END_MS if delivery is None else int(delivery.timestamp() * 1000),
        contract_size=100 if base == "BTC" else 10,
        price=price * (1.0002 if delivery is None else 1.012),
        turnover=millions * 5e5,
        tick_decimals=digits,
        price_digits=digits,
        lot_decimals=0,
        quantity_digits=0,
    )


def _quarter_end(after: datetime) -> datetime:
    """Return the next delivery: 08:00 UTC on the last Friday of March, June, September or December."""
    year, quarter = after.year, (after.month - 1) // 3
    while True:
        month = 3 * quarter + 4
        last_day = datetime(year + month // 13, (month - 1) % 12 + 1, 1, 8, tzinfo=UTC) - timedelta(days=1)
        friday = last_day - timedelta(days=(last_day.weekday() - 4) % 7)
        if friday > after:
            return friday
        year, quarter = (year, quarter + 1) if quarter < 3 else (year + 1, 0)
