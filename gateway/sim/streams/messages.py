"""What the exchange says on a socket: JSON text, field by field as Binance writes it.

`E` is the moment of sending, `T` the moment of the trade; both in milliseconds, or in microseconds
on a connection that asked for `timeUnit=MICROSECOND`: `unit_us` is 1000 or 1. USD-M and COIN-M
say `st` (1 or 2) and `ps` where they have since 2026.
"""

from typing import NamedTuple

from gateway.sim.market.bars import Bar
from gateway.sim.market.book import Book, Level
from gateway.sim.market.symbols import Board, Instrument


class TradeRow(NamedTuple):
    """One row of `market.Trades`, as plain Python values."""

    id: int
    time_us: int
    price: int
    quantity: int
    sold: bool
    first: int
    last: int
    mid: int


class QuoteRow(NamedTuple):
    """One row of `market.Quotes`."""

    update_id: int
    time_us: int
    bid: int
    bid_size: int
    ask_size: int


def combined(stream: str, payload: str) -> str:
    """Wrap a payload as `/stream` connections get it."""
    return f'{{"stream":"{stream}","data":{payload}}}'


def agg_trade(one: Instrument, row: TradeRow, event_us: int, unit_us: int) -> str:
    quantity = one.quantity_text(row.quantity)
    if one.board is Board.SPOT:
        extra, tail = "", ',"M":true}'
    elif one.board is Board.USDM:
        extra, tail = f'"nq":"{quantity}",', ',"st":1}'  # nobody here trades against RPI orders: nq is q
    else:
        extra, tail = "", ',"st":2}'
    return (
        f'{{"e":"aggTrade","E":{event_us // unit_us},"s":"{one.symbol}","a":{row.id},'
        f'"p":"{one.price_text(row.price)}","q":"{quantity}",{extra}"f":{row.first},"l":{row.last},'
        f'"T":{row.time_us // unit_us},"m":{"true" if row.sold else "false"}{tail}'
    )


def single_trade(one: Instrument, row: TradeRow, single: tuple[int, int], event_us: int, unit_us: int) -> str:
    """Write one of the single trades of an aggTrade: `single` is its id and its lots."""
    event, traded, maker = event_us // unit_us, row.time_us // unit_us, "true" if row.sold else "false"
    what = f'"t":{single[0]},"p":"{one.price_text(row.price)}","q":"{one.quantity_text(single[1])}"'
    if one.board is Board.SPOT:
        return f'{{"e":"trade","E":{event},"s":"{one.symbol}",{what},"T":{traded},"m":{maker},"M":true}}'
    pair = f'"ps":"{one.pair}",' if one.inverse else ""
    return (
        f'{{"e":"trade","E":{event},"T":{traded},"s":"{one.symbol}",{pair}{what},"X":"MARKET","m":{maker}}}'
    )


def split(first: int, last: int, quantity: int) -> list[tuple[int, int]]:
    """Share a quantity out among single trades: (id, lots), the sum exact, nobody empty-handed."""
    count = last - first + 1
    share = quantity // count
    pieces = [(first + nth, share) for nth in range(count - 1)]
    return [*pieces, (last, quantity - share * (count - 1))]


def book_ticker(one: Instrument, row: QuoteRow, event_us: int, unit_us: int) -> str:
    top = (
        f'"b":"{one.price_text(row.bid)}","B":"{one.quantity_text(row.bid_size)}",'
        f'"a":"{one.price_text(row.bid + 1)}","A":"{one.quantity_text(row.ask_size)}"'
    )
    if one.board is Board.SPOT:
        return f'{{"u":{row.update_id},"s":"{one.symbol}",{top}}}'
    return (
        f'{{"e":"bookTicker","u":{row.update_id},"s":"{one.symbol}","ps":"{one.pair}",{top},'
        f'"T":{row.time_us // unit_us},"E":{event_us // unit_us},"st":{_kind(one)}}}'
    )


def mini_ticker(one: Instrument, day: Bar, event_us: int, unit_us: int) -> str:
    pair = "" if one.board is Board.SPOT else f'"ps":"{one.pair}",'
    kind = "" if one.board is Board.SPOT else f',"st":{_kind(one)}'
    return (
        f'{{"e":"24hrMiniTicker","E":{event_us // unit_us},"s":"{one.symbol}",{pair}'
        f'"c":"{one.price_text(day.close)}","o":"{one.price_text(day.open)}",'
        f'"h":"{one.price_text(day.high)}","l":"{one.price_text(day.low)}",'
        f'"v":"{one.quantity_text(day.volume)}","q":"{one.turnover_text(day.turnover)}"{kind}}}'
    )


def kline(one: Instrument, interval: str, bar: Bar, final: bool, event_us: int, unit_us: int) -> str:
    opened, closed = bar.open_ms * 1000 // unit_us, (bar.close_ms * 1000 + 999) // unit_us
    return (
        f'{{"e":"kline","E":{event_us // unit_us},"s":"{one.symbol}","k":{{"t":{opened},"T":{closed},'
        f'"s":"{one.symbol}","i":"{interval}","f":{bar.first},"L":{bar.last},'
        f'"o":"{one.price_text(bar.open)}","c":"{one.price_text(bar.close)}",'
        f'"h":"{one.price_text(bar.high)}","l":"{one.price_text(bar.low)}",'
        f'"v":"{one.quantity_text(bar.volume)}","n":{bar.singles},"x":{"true" if final else "false"},'
        f'"q":"{one.turnover_text(bar.turnover)}","V":"{one.quantity_text(bar.bought)}",'
        f'"Q":"{one.turnover_text(bar.bought_turnover)}","B":"0"}}}}'
    )


def partial_depth(one: Instrument, book: Book, previous: int, event_us: int, unit_us: int) -> str:
    """Write the best levels: a plain snapshot on spot, on futures an event like a difference."""
    if one.board is not Board.SPOT:
        return diff_depth(one, book, previous, event_us, unit_us)
    bids, asks = level_texts(one, book.bids), level_texts(one, book.asks)
    return f'{{"lastUpdateId":{book.update_id},"bids":{bids},"asks":{asks}}}'


def diff_depth(one: Instrument, book: Book, previous: int, event_us: int, unit_us: int) -> str:
    """Write what changed after update `previous`."""
    levels = f'"b":{level_texts(one, book.bids)},"a":{level_texts(one, book.asks)}'
    head, event = f'"s":"{one.symbol}"', event_us // unit_us
    ids = f'"U":{previous + 1},"u":{book.update_id}'
    if one.board is Board.SPOT:
        return f'{{"e":"depthUpdate","E":{event},{head},{ids},{levels}}}'
    return (
        f'{{"e":"depthUpdate","E":{event},"T":{book.time_us // unit_us},{head},"ps":"{one.pair}",'
        f'{ids},"pu":{previous},{levels},"st":{_kind(one)}}}'
    )


def level_texts(one: Instrument, levels: list[Level]) -> str:
    said = (f'["{one.price_text(price)}","{one.quantity_text(lots)}"]' for price, lots in levels)
    return f"[{','.join(said)}]"


def server_shutdown(event_us: int, unit_us: int) -> str:
    return f'{{"e":"serverShutdown","E":{event_us // unit_us}}}'


def _kind(one: Instrument) -> int:
    """`st`: which of the two futures markets, on hosts that carry both."""
    return 2 if one.inverse else 1
