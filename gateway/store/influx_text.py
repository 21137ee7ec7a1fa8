"""How bars, trades and coverage are spelled for InfluxDB: lines to write, questions to ask.

    ohlcv_<interval>   tags exchange, symbol             fields open high low close volume trade_count, and
                                                         quote_volume taker_buy revision flags version
    trades             tags exchange, symbol             fields price volume sequence count flags
    coverage           tags exchange, symbol, interval   field spans, JSON [[from_ms, to_ms], …]

`sequence` is the venue's trade id. All times are written in nanoseconds. Two points of one series at one
moment would be one: a trade's three last digits are those of its id, so that trades of one microsecond
stay apart (a thousand of them).

A name is any text; what line protocol or InfluxQL cannot say, control characters, `\\` and therefore
`%`, is written as `%` and two hex digits. With no `\\` in it, a name between quotes cannot end them.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import unquote

import msgspec
import numpy as np
from influxdb_client.client.write import point as line_protocol

from gateway.store.history import Change, Span
from protocol.bars import BAR, Bars, Series
from protocol.events import Trade
from protocol.intervals import MINUTES, format_interval

MS_NS: Final = 1_000_000
US_NS: Final = 1_000
NS_LIMIT: Final = 2**63 - 2**20
"""InfluxDB's times end in the year 2262."""
BAR_FIELDS: Final = {name: name for name in (BAR.names or ())[1:]} | {"trades": "trade_count"}
"""Our name -> the name there."""
TRADE_FIELDS: Final = "flags, count, sequence, price, volume"
EVERY_INTERVAL: Final = "/^ohlcv_/"
MAX_SPANS: Final = 2_000
"""InfluxDB takes 64 kB of text in a field. More spans than that: the oldest are not noted."""
_Point: Final[Any] = line_protocol.Point  # the library has no types
_UNSAYABLE: Final = re.compile(r"[\x00-\x1f\x7f\\%]")


def bar_lines(change: Change) -> Iterator[str]:
    series, bars = change
    source, names = measurement(series.interval), tuple(BAR_FIELDS.values())
    for open_ms, *values in bars.tolist():
        tags = {"exchange": series.venue, "symbol": series.native}
        yield _line(source, tags, dict(zip(names, values, strict=True)), open_ms * MS_NS)


def trade_lines(venue: str, native: str, trades: Sequence[Trade]) -> Iterator[str]:
    tags = {"exchange": venue, "symbol": native}
    for _, flags, count, number, time_us, price, quantity in trades:
        fields = {"price": price, "volume": quantity, "sequence": number, "count": count, "flags": flags}
        yield _line("trades", tags, fields, time_us * US_NS + number % US_NS)


def coverage_line(series: Series, covered: Sequence[Span], at_ns: int) -> str:
    tags = {"exchange": series.venue, "symbol": series.native, "interval": format_interval(series.interval)}
    spans = msgspec.json.encode(covered[-MAX_SPANS:]).decode()
    return _line("coverage", tags, {"spans": spans}, at_ns)


def measurement(interval: int) -> str:
    return f"ohlcv_{format_interval(interval)}"


def parse_measurement(name: str) -> int | None:
    """Return the interval that a measurement is about; None if it is not one of ours."""
    return MINUTES.get(name.removeprefix("ohlcv_"))


def parse_bars(rows: Sequence[Sequence[Any]]) -> Bars:
    """Read rows of a time in ms and BAR_FIELDS. One that misses a field is still being written."""
    return np.array([tuple(row) for row in rows if None not in row], BAR)


def parse_trades(rows: Sequence[Sequence[Any]]) -> list[Trade]:
    """Read rows of a time in ns and TRADE_FIELDS, by id; those of others, which miss fields, are left out."""
    trades = [
        Trade(0, flags, count, number, time_ns // US_NS, price, quantity)
        for time_ns, flags, count, number, price, quantity in (row for row in rows if None not in row)
    ]
    return sorted(trades, key=lambda trade: trade.id)


def parse_name(text: str) -> str:
    return unquote(text)


def quote_name(name: str) -> str:
    """Write a tag's value as a literal of InfluxQL."""
    return "'" + _sayable(name).replace("'", "\\'") + "'"


def format_time(ns: int) -> str:
    """Write a moment for InfluxQL, at most as far away as its times go."""
    return f"{max(-NS_LIMIT, min(ns, NS_LIMIT))}"


def select(fields: str, source: str, venue: str, native: str, *conditions: str) -> str:
    tags = (f"exchange = {quote_name(venue)}", f"symbol = {quote_name(native)}")
    return f'SELECT {fields} FROM "{source}" WHERE {" AND ".join((*tags, *conditions))}'


def _line(source: str, tags: dict[str, str], fields: dict[str, Any], time_ns: int) -> str:
    point = _Point(source).time(time_ns)
    for name, value in tags.items():
        point.tag(name, _sayable(value))
    for name, value in fields.items():
        point.field(name, value)
    return str(point.to_line_protocol())


def _sayable(name: str) -> str:
    return _UNSAYABLE.sub(lambda match: f"%{ord(match[0]):02X}", name)
