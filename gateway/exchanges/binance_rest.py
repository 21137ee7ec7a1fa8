"""Binance's REST answers that describe the market: instruments, the day, past trades, bars, the clock.

The three markets differ in the root of their paths and in a few names of fields. Times are asked for
in microseconds where the market has them (spot), so that a trade that was missed on the stream comes
with the same time.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/general-endpoints
https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.exchanges.binance_events import Id, Number, Time, Whole, contract_usd, in_base, time_us
from gateway.exchanges.calls import Call
from gateway.exchanges.errors import BadPayload
from protocol.intervals import format_interval
from protocol.market import AggTrade, Bar, DayTicker
from protocol.symbols import Instrument

PERPETUAL: Final = frozenset({"PERPETUAL", "TRADIFI_PERPETUAL"})
MOST_SYMBOLS: Final = 100
"""Spot answers for so many symbols at half the weight of all of them."""
MOST_TRADES: Final = 1_000
"""What one answer holds of trades."""
_DECIMAL: Final = re.compile(r"[0-9]{1,30}(\.[0-9]{1,30})?")


@dataclass(frozen=True, slots=True)
class BinanceRest:
    """One market's REST dialect."""

    venue: str
    root: str
    exchange_info_weight: int
    all_tickers_weight: int
    agg_trades_weight: int
    klines_weights: Mapping[int, int]
    """By how many bars are asked for at most: the first that is enough counts. Its last key is the most."""
    reach_s: int = 0
    """How far back trades can be asked for; 0 is without end."""
    longest_klines_s: int = 0
    """The longest time that bars can be asked for at once; 0 is without end."""
    headers: Mapping[str, str] = field(default_factory=dict)
    in_contracts: bool = False
    symbol_lists: bool = False
    """`ticker/24hr` takes several symbols."""

    def exchange_info_call(self) -> Call:
        return Call(f"{self.root}/exchangeInfo", self.exchange_info_weight)

    def server_time_call(self) -> Call:
        return Call(f"{self.root}/time", 1)

    def day_tickers_call(self, natives: Collection[str]) -> Call:
        """Ask for these at least: some markets answer for all or one."""
        path = f"{self.root}/ticker/24hr"
        if not self.symbol_lists and len(natives) == 1:
            return Call(path, 1, {"symbol": next(iter(natives))})
        if not self.symbol_lists or not 0 < len(natives) <= MOST_SYMBOLS:
            return Call(path, self.all_tickers_weight)
        symbols = msgspec.json.encode(sorted(natives)).decode()
        return Call(path, 2 if len(natives) <= 20 else 40, {"symbols": symbols})

    def agg_trades_call(self, native: str, from_id: int | None, limit: int) -> Call:
        """Ask for trades from an id on, that one included; without one for the newest."""
        params = {"symbol": native, "limit": str(min(limit, MOST_TRADES))}
        if from_id is not None:
            params["fromId"] = str(from_id)
        return Call(f"{self.root}/aggTrades", self.agg_trades_weight, params)

    def parse_agg_trades(self, native: str, data: bytes) -> list[AggTrade]:
        """Parse past trades, in the order of their ids. Raises BadPayload.

        An id under which nothing was traded (price and quantity zero) is left out.
        """
        rows = _decode(data, list[_AggTrade])
        return [self._agg_trade(native, row) for row in sorted(rows, key=lambda row: row.a) if row.p]

    def _agg_trade(self, native: str, row: "_AggTrade") -> AggTrade:
        if not 0 <= row.l - row.f < 2**32:
            raise BadPayload(f"trades {row.f} to {row.l} in one")
        quantity = in_base(native, row.q, row.p) if self.in_contracts else row.q
        traded_us = time_us(row.T)
        # No time of sending is stated: it was known to the venue when it traded.
        return AggTrade(native, row.a, row.p, quantity, row.m, traded_us, traded_us, row.f, row.l)

    @property
    def most_klines(self) -> int:
        """How many bars one answer holds."""
        return max(self.klines_weights)

    def klines_call(self, native: str, interval: int, from_ms: int, to_ms: int, limit: int) -> Call:
        """Ask for the bars that open in [from_ms, to_ms): the first `limit` of them."""
        limit = min(limit, self.most_klines)
        weight = next(weight for most, weight in self.klines_weights.items() if limit <= most)
        params = {
            "symbol": native,
            "interval": format_interval(interval),
            # As text, in whole milliseconds; the venue refuses a time before 1970.
            "startTime": str(max(from_ms, 0)),
            "endTime": str(max(to_ms - 1, 0)),
            "limit": str(limit),
        }
        return Call(f"{self.root}/klines", weight, params)

    def parse_klines(self, native: str, interval: int, data: bytes, now_ms: int) -> list[Bar]:
        """Parse bars, oldest first; one is final if it had closed at `now_ms`. Raises BadPayload."""
        return [self._bar(native, interval, row, now_ms) for row in _decode(data, list[_KlineRow])]

    def _bar(self, native: str, interval: int, row: "_KlineRow", now_ms: int) -> Bar:
        if not row.low <= row.open <= row.high or not row.low <= row.close <= row.high:
            raise BadPayload(f"bar of {native}: open and close are outside of low and high")
        volumes = (row.volume, row.quote_volume, row.taker_buy, row.taker_buy_quote)
        if self.in_contracts:
            dollars = contract_usd(native)
            volumes = (row.quote_volume, row.volume * dollars, row.taker_buy_quote, row.taker_buy * dollars)
        close_us = time_us(row.close_time)
        return Bar(
            native,
            interval,
            time_us(row.open_time) // 1_000,
            row.open,
            row.high,
            row.low,
            row.close,
            *volumes,
            trades=row.trades,
            first_id=-1,
            last_id=-1,
            final=close_us // 1_000 < now_ms,
            sent_us=min(close_us, now_ms * 1_000),
        )

    def parse_server_time(self, data: bytes) -> int:
        """Return the venue's clock in milliseconds. Raises BadPayload."""
        return time_us(_decode(data, _ServerTime).server_time) // 1_000

    def parse_instruments(self, data: bytes) -> list[Instrument]:
        """Parse exchangeInfo: what can be traded is active, the rest of it is not. Raises BadPayload.

        A contract of a size that `contract_usd` does not know would be counted wrongly, and is left out.
        """
        info = _decode(data, _ExchangeInfo)
        return [
            self._instrument(one, info.simulated)
            for one in info.symbols
            if not self.in_contracts or one.contract_size == contract_usd(one.symbol)
        ]

    def _instrument(self, one: "_Symbol", simulated: bool) -> Instrument:
        symbol = one.symbol
        if one.contract_type in PERPETUAL:
            symbol = (one.pair or one.symbol) + ".P" if self.in_contracts else one.symbol + ".P"
        filters = {stated.filter_type: stated for stated in one.filters}
        price, lot = filters.get("PRICE_FILTER", _NO_FILTER), filters.get("LOT_SIZE", _NO_FILTER)
        # Spot called its filter MIN_NOTIONAL before it was NOTIONAL.
        worth = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL", _NO_FILTER)
        return Instrument(
            symbol=symbol,
            venue=self.venue,
            native=one.symbol,
            base=one.base_asset,
            quote=one.quote_asset,
            price_precision=_precision(price.tick_size, one.price_precision),
            # In base units, which are finer than contracts.
            quantity_precision=8 if self.in_contracts else _precision(lot.step_size, one.quantity_precision),
            simulated=simulated,
            is_active=(one.status or one.contract_status) == "TRADING" and one.is_spot_trading_allowed,
            tick_size=_decimal(price.tick_size),
            min_quantity=_decimal(lot.min_qty),
            max_quantity=_decimal(lot.max_qty),
            step_size=_decimal(lot.step_size),
            min_notional=_decimal(worth.min_notional or worth.notional),
        )

    def parse_day_tickers(self, data: bytes) -> list[DayTicker]:
        """Parse 24 h tickers; what has not traded for a day is left out. Raises BadPayload."""
        return [
            DayTicker(
                one.symbol,
                one.last_price,
                one.base_volume if self.in_contracts else one.volume,
                time_us(one.close_time),
            )
            for one in _listed(_decode(data, list[_DayTicker] | _DayTicker))
            if one.last_price
        ]

    def parse_error(self, data: bytes) -> str | None:
        """Return what the venue says is wrong, None if it says nothing that we can read."""
        try:
            complaint = _decode(data, _Complaint)
        except BadPayload:
            return None
        return f"{complaint.msg} (code {complaint.code})"


class _ServerTime(Struct, rename="camel"):
    server_time: int


class _Filter(Struct, rename="camel"):
    filter_type: str = ""
    tick_size: str = ""
    step_size: str = ""
    min_qty: str = ""
    max_qty: str = ""
    min_notional: str = ""
    """Spot's name of it."""
    notional: str = ""
    """USD-M's; COIN-M has none."""


_NO_FILTER: Final = _Filter()


class _Symbol(Struct, rename="camel"):
    symbol: str
    status: str = ""
    contract_status: str = ""
    """COIN-M's name for `status`."""
    base_asset: str = ""
    quote_asset: str = ""
    pair: str = ""
    contract_type: str = ""
    contract_size: float = 0.0
    price_precision: int = 8
    quantity_precision: int = 8
    is_spot_trading_allowed: bool = True
    filters: list[_Filter] = []


class _ExchangeInfo(Struct):
    symbols: list[_Symbol]
    simulated: bool = False


class _DayTicker(Struct, rename="camel"):
    symbol: str
    last_price: Number
    volume: Number
    close_time: int
    base_volume: Number = 0.0


class _AggTrade(Struct, gc=False):
    a: Whole
    p: Number
    q: Number
    f: Id
    l: Id  # noqa: E741  # the venue's name of the field
    T: Time
    m: bool


class _KlineRow(Struct, array_like=True, gc=False):
    open_time: Time
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number
    close_time: Time
    quote_volume: Number
    """COIN-M: the base volume; its `volume` counts contracts."""
    trades: Whole
    taker_buy: Number
    taker_buy_quote: Number


class _Complaint(Struct):
    code: int
    msg: str


def _listed(answer: "list[_DayTicker] | _DayTicker") -> list[_DayTicker]:
    """One symbol comes alone where it was asked for alone, but for COIN-M."""
    return answer if isinstance(answer, list) else [answer]


def _decode(data: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(data, type=kind, strict=False)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadPayload(str(error)) from None


def _precision(step: str, otherwise: int) -> int:
    """Count the digits after the point of a tick or lot size like "0.01000000"; all zero says nothing."""
    if not step.strip("0."):
        return otherwise
    return len(step.partition(".")[2].rstrip("0"))


def _decimal(text: str) -> str:
    """Spell a decimal in one way: spot writes "0.01000000". Zero means that nothing is stated."""
    if not _DECIMAL.fullmatch(text) or not text.strip("0."):
        return ""
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{fraction}" if fraction else "")


_SPOT_KLINES: Final = {1_000: 2}
_FUTURES_KLINES: Final = {99: 1, 499: 2, 1_000: 5, 1_500: 10}

SPOT_REST: Final = BinanceRest(
    "binance",
    "/api/v3",
    20,
    80,
    4,
    _SPOT_KLINES,
    headers={"X-MBX-TIME-UNIT": "MICROSECOND"},
    symbol_lists=True,
)
# https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api/Compressed-Aggregate-Trades-List
USDM_REST: Final = BinanceRest("binance-usdm", "/fapi/v1", 1, 40, 20, _FUTURES_KLINES, reach_s=48 * 3_600)
# https://developers.binance.com/docs/derivatives/coin-margined-futures/market-data/rest-api/Kline-Candlestick-Data
COINM_REST: Final = BinanceRest(
    "binance-coinm",
    "/dapi/v1",
    1,
    40,
    20,
    _FUTURES_KLINES,
    reach_s=24 * 3_600,
    longest_klines_s=200 * 86_400,
    in_contracts=True,
)
