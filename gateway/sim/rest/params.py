"""The parameters of a REST request, held to Binance's rules, and the errors that break them."""

import json
import re
from collections.abc import Sequence
from typing import Final

from gateway.sim.market.symbols import Board, Instrument
from gateway.sim.market.trades import Market

_NUMBER: Final = "^[0-9]{1,20}$"
_SYMBOL: Final = r"^[\w\-._&&[^a-z]]{1,50}$"
"""As Binance states it, in Java's syntax."""
_LEGAL_SYMBOL: Final = re.compile(r"[\w\-.]{1,50}")
_INTEGERS: Final = frozenset({"limit", "fromId", "startTime", "endTime"})
_MICROSECONDS_FROM: Final = 10**14
"""Times above this are microseconds: spot takes either."""


class ApiError(Exception):
    """A request that is answered with {"code", "msg"}."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


BAD_SYMBOL: Final = (-1121, "Invalid symbol.")
BAD_INTERVAL: Final = (-1120, "Invalid interval.")
BAD_COMBINATION: Final = (-1128, "Combination of optional parameters invalid.")


class Params:
    """What one request asks for. Reading from it raises ApiError."""

    def __init__(
        self,
        market: Market,
        board: Board,
        sent: Sequence[tuple[str, str]],
        known: Sequence[str],
        mandatory: Sequence[str],
    ) -> None:
        self.board = board
        self._market = market
        names = [name for name, _ in sent]
        if len(set(names)) != len(names):
            raise ApiError(-1101, "Duplicate values for a parameter detected.")
        read = sum(name in known for name in names)
        if read != len(names):
            message = (
                f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{len(names)}'."
            )
            raise ApiError(-1104, message)
        self._values = dict(sent)
        for name in mandatory:
            if name not in self._values:
                message = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
                raise ApiError(-1102, message)
        for name, value in sent:
            _check(name, value)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str, default: str = "") -> str:
        return self._values.get(name, default)

    def number(self, name: str) -> int | None:
        value = self._values.get(name)
        return None if value is None else int(value)

    def time_us(self, name: str, within_us: int = 0) -> int | None:
        """Return a time in microseconds, whichever of the two units it came in.

        A millisecond is long: `within_us` says which of its microseconds is meant.
        """
        value = self.number(name)
        if value is None or (self.board is Board.SPOT and value >= _MICROSECONDS_FROM):
            return value
        return value * 1000 + within_us

    def limit(self, default: int, most: int, clamp: bool = False) -> int:
        value = self.number("limit")
        if value is None:
            return default
        if value < 1 or (value > most and not clamp):
            raise ApiError(-1130, "Data sent for parameter 'limit' is not valid.")
        return min(value, most)

    def instrument(self) -> Instrument:
        """Return what `symbol` names."""
        return self._find(self._values["symbol"])

    def instruments(self) -> list[Instrument] | None:
        """Return what `symbol` or spot's `symbols` (a JSON list) name; None if neither is sent."""
        if "symbol" in self and "symbols" in self:
            raise ApiError(*BAD_COMBINATION)
        if "symbol" in self:
            return [self.instrument()]
        if "symbols" not in self:
            return None
        try:
            names = json.loads(self._values["symbols"])
        except ValueError:
            names = None
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            message = f"Illegal characters found in parameter 'symbols'; legal range is '{_SYMBOL}'."
            raise ApiError(-1100, message)
        if len(set(names)) != len(names):
            raise ApiError(-1151, "Symbol is present multiple times in the list.")
        return [self._find(name) for name in names]

    def _find(self, symbol: str) -> Instrument:
        one = self._market.find(self.board, symbol)
        if one is None:
            raise ApiError(*BAD_SYMBOL)
        return one


def _check(name: str, value: str) -> None:
    if not value:
        raise ApiError(-1105, f"Parameter '{name}' was empty.")
    if name in _INTEGERS and (not value.isascii() or not value.isdigit() or len(value) > 18):
        raise ApiError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{_NUMBER}'.")
    if name == "symbol" and (not _LEGAL_SYMBOL.fullmatch(value) or value.upper() != value):
        raise ApiError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{_SYMBOL}'.")
