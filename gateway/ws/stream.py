"""`/api/v1/ws`: one client of the binary stream.

Subprotocol `tickgate.v1` (the default) or `tickgate.v2`; JSON text both ways, `protocol/control.py`;
binary frames from here only.
"""

from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway.ws.audience import NOTHING, Watchlist, frozen
from gateway.ws.delivery import Delivery
from gateway.ws.endpoint import Client
from gateway.ws.outbox import KINDS
from protocol.events import Kind
from protocol.session import SUBPROTOCOL_V1, SUBPROTOCOL_V2, VERSIONS, Reaction, ServerSession


class StreamClient(Client):
    """Prices, quotes, trades, candles and Enigma levels, in the version and the kinds that it has chosen."""

    __slots__ = ("_trades", "_watched_trades")

    path = "/api/v1/ws"
    subprotocols = (SUBPROTOCOL_V1, SUBPROTOCOL_V2)
    has_market_watch = True

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        super().__init__(config, server_state, app_state)
        self._trades: Delivery | None = None
        self._watched_trades: frozenset[int] = NOTHING

    # The connection

    def on_open(self) -> None:
        self.form = VERSIONS[self.subprotocol or SUBPROTOCOL_V1]
        self.session = ServerSession(
            self.form, self.clients.symbols, self.clients.limits.session, self.admission.standing
        )
        super().on_open()

    def act(self, reaction: Reaction) -> None:
        new = self.session.trades.intersection(reaction.added).difference(self._watched_trades)
        if new or reaction.since:
            self.trades.on_subscribed(new, reaction.since)
        super().act(reaction)
        if reaction.added:
            self._send_newest(reaction.added)

    def on_closing(self) -> None:
        super().on_closing()
        if self._trades is not None:
            self._trades.stop()

    # The stream

    @property
    def trades(self) -> Delivery:
        if self._trades is None:
            self._trades = Delivery(self, self.clients.replays)
            if self.outbox.is_full:
                self._trades.on_full()
        return self._trades

    def join(self) -> None:
        self._watched_trades = frozen(self.session.trades)
        if self._trades is not None:
            self._trades.forget(self._watched_trades)
        super().join()

    def watchlist(self) -> Watchlist:
        session = self.session
        watchlist = Watchlist(
            self.form,
            frozen(session.prices | session.market_watch),
            frozen(session.quotes),
            self._trades.live(self._watched_trades) if self._trades is not None else NOTHING,
            frozen(session.enigma),
            self.live_candles(),
            frozen(session.compact),
        )
        for kind in KINDS:
            self.outbox.forget(watchlist.watched(kind), kind)
        return watchlist

    def _send_newest(self, ids: list[int]) -> None:
        if self.audience is None:
            return
        for kind in KINDS:
            watched = self.audience.watchlist.watched(kind)
            wanted = [one for one in ids if one in watched] if watched else []
            if not wanted:
                continue
            if self.outbox.is_full:
                totals = self.clients.fanout.table_of(kind).changes
                self.miss(kind, {one: int(totals[one]) - 1 for one in wanted if one < len(totals)})
            else:
                self._send_values(kind, wanted, {})

    def _send_values(self, kind: Kind, ids: list[int], baseline: dict[int, int]) -> None:
        frame = self.clients.fanout.newest(kind, self.form, ids, baseline)
        if frame is not None:
            self.write_frames(frame)

    # A slow client

    def pause_writing(self) -> None:
        if self._trades is not None:
            self._trades.on_full()
        super().pause_writing()

    def catch_up(self) -> None:
        for kind in KINDS:
            missed = self.outbox.take(kind)
            if missed:
                self._send_values(kind, list(missed), missed)
        if self._trades is not None:
            self._trades.catch_up()
        super().catch_up()
