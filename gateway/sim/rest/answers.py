"""What REST answers about trades and the listing, in Binance's shapes.

Every function takes the parameters and a `Moment`; raising ApiError is answering too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from gateway.sim.faults import Faults
from gateway.sim.listings import Listings
from gateway.sim.market.bars import History, worth
from gateway.sim.market.symbols import Board, Instrument
from gateway.sim.market.trades import Market, Trades
from gateway.sim.rest.listing import exchange_info
from gateway.sim.rest.params import BAD_COMBINATION, ApiError, Params
from gateway.sim.streams.messages import TradeRow, split

HOUR_US: Final = 3600 * 1_000_000
REACH_US: Final = {Board.USDM: 48 * HOUR_US, Board.COINM: 24 * HOUR_US}
"""How far back aggTrades go on the futures."""
SINGLES_REACH_US: Final = 30 * 24 * HOUR_US


@dataclass(frozen=True, slots=True)
class Moment:
    """What answers are made from: the market, and how much of it has happened."""

    market: Market
    history: Callable[[Instrument], History]
    faults: Faults
    listings: Listings
    now_us: int
    unit_us: int
    """1000: answer in milliseconds; 1: in microseconds."""
    weight_limit: int

    def visible_us(self, one: Instrument) -> int:
        return self.faults.visible_us(one, self.now_us)

    def newest_id(self, one: Instrument) -> int:
        return self.market.id_at(one, self.visible_us(one) + 1) - 1

    def newest(self, one: Instrument) -> TradeRow:
        """Return the last trade that has happened."""
        newest = self.newest_id(one)
        return rows(self.market.by_ids(one, newest, newest + 1))[0]

    def time(self, time_us: int) -> int:
        return time_us // self.unit_us

    def chosen(self, params: Params) -> list[Instrument]:
        ones = params.instruments()
        return self.market.on_board(params.board) if ones is None else ones


def ping(params: Params, at: Moment) -> Any:  # noqa: ARG001  # nothing to say
    return {}


def server_time(params: Params, at: Moment) -> Any:  # noqa: ARG001  # the same for all
    return {"serverTime": at.time(at.now_us)}


def listing(params: Params, at: Moment) -> Any:
    ones = [(one, at.listings.status(one)) for one in at.chosen(params)]
    return exchange_info(params.board, ones, at.weight_limit, at.time(at.now_us))


def agg_trades(params: Params, at: Moment) -> Any:
    one, limit = params.instrument(), params.limit(500, 1000)
    first, stop = _agg_range(params, at, one, limit)
    spot = {"M": True} if params.board is Board.SPOT else {}
    return [
        {
            "a": row.id,
            "p": one.price_text(row.price),
            "q": one.quantity_text(row.quantity),
            **({"nq": one.quantity_text(row.quantity)} if params.board is Board.USDM else {}),
            "f": row.first,
            "l": row.last,
            "T": at.time(row.time_us),
            "m": row.sold,
            **spot,
        }
        for row in rows(at.market.by_ids(one, first, stop))
    ]


def _agg_range(params: Params, at: Moment, one: Instrument, limit: int) -> tuple[int, int]:
    """Choose the ids: by fromId, by times, or the newest."""
    from_id = params.number("fromId")
    start_us, end_us = params.time_us("startTime"), params.time_us("endTime", within_us=999)
    stop = at.newest_id(one) + 1
    oldest = 1 if params.board is Board.SPOT else at.market.id_at(one, at.now_us - REACH_US[params.board])
    if from_id is not None:
        if start_us is not None or end_us is not None:
            raise ApiError(*BAD_COMBINATION)
        first = max(from_id, oldest)
        return first, min(stop, first + limit)
    if start_us is not None and end_us is not None:
        _check_span(params.board, start_us, end_us)
    if end_us is not None and end_us < at.now_us:
        stop = min(stop, at.market.id_at(one, end_us + 1))  # endTime is included
    if start_us is None:
        return max(stop - limit, oldest), stop
    first = max(at.market.id_at(one, min(start_us, at.now_us + 1)), oldest)
    return first, min(stop, first + limit)


def _check_span(board: Board, start_us: int, end_us: int) -> None:
    if start_us > end_us:
        raise ApiError(-1023, "Start time is greater than end time.")
    if board is not Board.SPOT and end_us - start_us >= HOUR_US + 1000:
        raise ApiError(-1127, "More than 1 hours between startTime and endTime.")


def newest_trades(params: Params, at: Moment) -> Any:
    one, limit = params.instrument(), params.limit(500, 1000)
    stop = at.newest_id(one) + 1
    return _singles(at, one, stop - limit, stop)[-limit:]


def old_trades(params: Params, at: Moment) -> Any:
    most = 1000 if params.board is Board.SPOT else 500
    one, limit, from_id = params.instrument(), params.limit(500, most), params.number("fromId")
    stop = at.newest_id(one) + 1
    if from_id is None:
        return _singles(at, one, stop - limit, stop)[-limit:]
    oldest = 1 if params.board is Board.SPOT else at.market.id_at(one, at.now_us - SINGLES_REACH_US)
    first = max(at.market.aggregate_of(one, from_id), oldest)
    found = _singles(at, one, first, min(stop, first + limit))
    return [single for single in found if single["id"] >= from_id][:limit]


def _singles(at: Moment, one: Instrument, first: int, stop: int) -> list[dict[str, Any]]:
    """Write the single trades of a range of aggTrades."""
    found = []
    for row in rows(at.market.by_ids(one, first, stop)):
        for single_id, lots in split(row.first, row.last, row.quantity):
            amount = one.turnover_text(worth(one, row.price, lots))
            found.append(
                {
                    "id": single_id,
                    "price": one.price_text(row.price),
                    "qty": one.quantity_text(lots),
                    ("baseQty" if one.inverse else "quoteQty"): amount,
                    "time": at.time(row.time_us),
                    "isBuyerMaker": row.sold,
                    **({"isBestMatch": True} if one.board is Board.SPOT else {}),
                }
            )
    return found


def rows(trades: Trades) -> list[TradeRow]:
    return [TradeRow(*row) for row in zip(*(column.tolist() for column in trades), strict=True)]
