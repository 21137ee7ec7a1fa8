"""Binance spot, USD-M and COIN-M: how to ask for streams, and what they say.

The three markets speak one dialect; what differs is in the three rows at the bottom.

    {"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","s":"BTCUSDT","a":12345,"p":"0.001", …}}
    {"result":null,"id":1}   {"error":{"code":2,"msg":"Invalid request"},"id":1}

- The wrapper is there on `/stream` and not on `/ws`; both are read.
- Every event names itself in `e`, but for spot's bookTicker. Fields come and go; unknown ones are ignored.

https://github.com/binance/binance-spot-api-docs/blob/master/web-socket-streams.md
https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from gateway.exchanges.binance_events import EVENTS, Market, bare, bare_book, wrapped, wrapped_book
from gateway.exchanges.errors import BadPayload
from protocol.market import Ack, VenueMessage

_B: Final = ord("b")
"""What follows the @ in the name of a bookTicker, and of no other stream that we ask for."""


@dataclass(frozen=True, slots=True)
class Binance(Market):
    """One market's streams."""

    query: str = ""

    def url(self, endpoint: str, category: str) -> str:
        return f"{endpoint}{category and '/' + category}/stream{self.query}"

    def stream_name(self, native: str, kind: str) -> str:
        return f"{native.lower()}@{kind}"

    def subscribe(self, names: Sequence[str], request_id: int) -> bytes:
        return msgspec.json.encode({"method": "SUBSCRIBE", "params": names, "id": request_id})

    def unsubscribe(self, names: Sequence[str], request_id: int) -> bytes:
        return msgspec.json.encode({"method": "UNSUBSCRIBE", "params": names, "id": request_id})

    def parse(self, data: bytes) -> VenueMessage | None:
        """Parse one message; None for one that is in order and none of ours.

        Raises BadPayload, never anything else.
        """
        try:
            if not data.startswith(b'{"stream":"'):
                return bare(data).event(self)
            if data[data.find(b"@") + 1] == _B:
                return wrapped_book(data).data.event(self)
            return wrapped(data).data.event(self)
        except msgspec.ValidationError:
            return self._parse_other(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise BadPayload(f"not JSON: {error}") from None

    def _parse_other(self, data: bytes) -> VenueMessage | None:
        """Parse what has none of the usual shapes: answers, bare bookTickers, foreign and broken events."""
        try:
            envelope = _envelope(data)
            if envelope.data is not UNSET:
                data = bytes(envelope.data)
                envelope = _envelope(data)
            if envelope.is_answer():
                return Ack(envelope.id, envelope.complaint())
            if envelope.e in EVENTS:
                return bare(data).event(self)
            return bare_book(data).event(self) if envelope.e is UNSET else None
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise BadPayload(str(error)) from None


class _Complaint(Struct):
    code: int = 0
    msg: str = ""

    def __str__(self) -> str:
        return f"{self.msg} (code {self.code})"


class _Envelope(Struct):
    """What every message may have around or in place of an event."""

    data: Raw | UnsetType = UNSET
    e: str | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: _Complaint | UnsetType | None = UNSET
    code: int | UnsetType = UNSET
    msg: str = ""
    id: int | str | None = None

    def is_answer(self) -> bool:
        return any(field is not UNSET for field in (self.result, self.error, self.code))

    def complaint(self) -> str | None:
        if self.code is not UNSET:
            return str(_Complaint(self.code, self.msg))
        return str(self.error) if self.error else None


_envelope: Final = msgspec.json.Decoder(_Envelope).decode


SPOT: Final = Binance(query="?timeUnit=MICROSECOND")
USDM: Final = Binance(universe=1)
COINM: Final = Binance(universe=2, in_contracts=True)
