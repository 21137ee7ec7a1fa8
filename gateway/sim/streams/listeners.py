"""Streams and their listeners: a message is written once per way of writing it and given to all.

A stream has a name (`btcusdt@aggTrade`), a kind (`aggTrade`), and listeners in groups: raw or
combined, milliseconds or microseconds. Faults that concern single messages are done here, between
the exchange's mouth and the listener's ear.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from gateway.sim.faults import FaultKind, Faults, Standing, spoil
from gateway.sim.market.symbols import Board
from gateway.sim.streams.messages import combined
from gateway.ws.connection import frame_text

TAPED: Final = ("aggTrade", "trade", "bookTicker")
"""Kinds that are played up to the end of trading (`Faults.visible_us`), and said whole up to there."""


class Manner(NamedTuple):
    """How a listener wants to be written to."""

    combined: bool
    unit_us: int
    """1000: times in milliseconds; 1: in microseconds."""


class Listener(Protocol):
    """A connection, as seen from a stream."""

    serial: int
    manner: Manner
    pending: list[bytes]
    """Frames that leave with the next flush."""
    held: dict[str, bytes]
    """By stream: the frame that waits for its successor, while messages are reordered."""

    def delay(self, frame: bytes, due_us: int) -> None: ...
    def flush(self, now_us: int) -> None: ...


class Stream:
    """One stream of one board and who listens to it."""

    __slots__ = ("board", "groups", "kind", "name", "symbol")

    def __init__(self, board: Board, name: str, kind: str, symbol: str) -> None:
        self.board = board
        self.name = name
        self.kind = kind
        self.symbol = symbol
        self.groups: dict[Manner, dict[Listener, None]] = {}

    def join(self, listener: Listener) -> None:
        self.groups.setdefault(listener.manner, {})[listener] = None

    def leave(self, listener: Listener) -> None:
        group = self.groups.get(listener.manner, {})
        group.pop(listener, None)
        if not group:
            self.groups.pop(listener.manner, None)


class Delivery:
    """Hands messages to listeners and counts them."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.sent: Counter[str] = Counter()
        """Messages by kind of stream, as they went to sockets."""
        self.touched: set[Listener] = set()
        """Who has frames pending."""

    def say(self, stream: Stream, write: Callable[[int], str], now_us: int) -> None:
        """Send one message; `write` makes its payload for a unit of time."""
        if stream.kind not in TAPED and (stream.board, stream.symbol) in self._faults.ended_us:
            return
        for manner, listeners in stream.groups.items():
            payload = write(manner.unit_us)
            if manner.combined:
                payload = combined(stream.name, payload)
            if self._faults.on_messages:
                for listener in listeners:
                    self._say_badly(stream, payload, listener, now_us)
            else:
                frame = frame_text(payload.encode())
                for listener in listeners:
                    listener.pending.append(frame)
                self.sent[stream.kind] += len(listeners)
            self.touched.update(listeners)

    def _say_badly(self, stream: Stream, payload: str, listener: Listener, now_us: int) -> None:
        """Send one message to one listener past the faults that stand."""
        copies, delay_us, swap = 1, 0, False
        for standing in self._faults.on_messages:
            if not standing.concerns(stream.board, stream.symbol, stream.kind) or not _hit(
                standing, stream, listener
            ):
                continue
            standing.hits[stream.kind] += 1
            match standing.fault.kind:
                case FaultKind.MUTE | FaultKind.STALE | FaultKind.LOSE:
                    return
                case FaultKind.DUPLICATE:
                    copies = 2
                case FaultKind.REORDER:
                    swap = True
                case FaultKind.MALFORMED:
                    payload = spoil(payload, standing.hits[stream.kind])
                case _:
                    delay_us = standing.fault.delay_ms * 1000
        frame = frame_text(payload.encode()) * copies
        self.sent[stream.kind] += copies
        if swap and stream.name not in listener.held:
            listener.held[stream.name] = frame
            return
        frame += listener.held.pop(stream.name, b"")
        if delay_us:
            listener.delay(frame, now_us + delay_us)
        else:
            listener.pending.append(frame)


def _hit(standing: Standing, stream: Stream, listener: Listener) -> bool:
    match standing.fault.kind:
        case FaultKind.STALE:
            return stream.board is Board.USDM and category_of(stream.kind) == "market"
        case FaultKind.MUTE:
            return standing.strikes_always(listener.serial)
        case FaultKind.SLOW:
            return standing.strikes_always(listener.serial)  # by connection: order is kept
        case _:
            return standing.strikes()


def category_of(kind: str) -> str:
    """Say under which of USD-M's paths a kind of stream is delivered: `/public` or `/market`."""
    return "public" if kind == "bookTicker" or kind == "trade" or kind.startswith("depth") else "market"
