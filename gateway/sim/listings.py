"""What is listed, changed on purpose while the exchange runs.

    {"market": "spot", "symbol": "NEWUSDT", "price": 2.5}             list something new
    {"market": "spot", "symbol": "ETHUSDT", "status": "BREAK"}        trade it no more, and say so
    {"market": "usdm", "symbol": "ETHUSDT", "status": "GONE"}         the same, and know it no more
    {"market": "spot", "symbol": "ETHUSDT", "status": "TRADING"}      trade it again

What is not traded is silent, on the socket and by REST. What it would have traded meanwhile is told when it
is traded again, as after a halt; what is new has a past since 2020, like everything here.
"""

from typing import Final

import msgspec

from gateway.sim.faults import MARKET_NAMES
from gateway.sim.market.symbols import Board, Instrument, make_instrument
from gateway.sim.market.trades import Market

TRADING: Final = "TRADING"
GONE: Final = "GONE"
"""A word of ours: what is gone is left out."""
MAX_NEW: Final = 1_000
"""More than so many are not listed."""


class BadListing(ValueError):
    """A change that cannot be: the message says why."""


class ListingChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    market: str
    symbol: str
    status: str = TRADING
    price: float = 1.0
    """About what it costs, if it is new."""


def parse_listing(text: bytes | str) -> ListingChange:
    """Parse a change from JSON. Raises BadListing."""
    try:
        change = msgspec.json.decode(text, type=ListingChange)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise BadListing(str(error)) from None
    if change.market not in MARKET_NAMES:
        raise BadListing(f"market can be {', '.join(MARKET_NAMES)}")
    if not change.status or not 1e-6 <= change.price <= 1e6:
        raise BadListing("status must be said, and price be 0.000001 to 1000000")
    return change


class Listings:
    """The status of everything that is not simply traded."""

    def __init__(self, market: Market, ended_us: dict[tuple[Board, str], int]) -> None:
        """`ended_us` is told since when something is not traded."""
        self._market = market
        self._ended_us = ended_us
        self._statuses: dict[Instrument, str] = {}
        self._gone: dict[tuple[Board, str], Instrument] = {}
        self._new = 0

    def status(self, one: Instrument) -> str:
        return self._statuses.get(one, TRADING)

    def change(self, change: ListingChange, now_us: int) -> Instrument:
        """Change the status of a symbol, or list a new one. Raises BadListing."""
        board = MARKET_NAMES[change.market]
        one = self._market.find(board, change.symbol) or self._return(board, change)
        key = board, one.symbol
        self._statuses[one] = change.status
        if change.status == TRADING:
            self._ended_us.pop(key, None)
        else:
            self._ended_us.setdefault(key, now_us)
        if change.status == GONE:
            self._gone[key] = one
            self._market.remove(one)
        return one

    def _return(self, board: Board, change: ListingChange) -> Instrument:
        """Take up what has gone, or what never was."""
        one = self._gone.pop((board, change.symbol), None)
        if one is None:
            one = make_instrument(board, change.symbol, change.price)
            if one is None or self._new >= MAX_NEW:
                raise BadListing(f"{change.symbol!r} cannot be listed on {change.market}")
            self._new += 1
        self._market.add(one)
        return one
