"""`/api/v1/ws`: one client of the binary stream.

Subprotocol `tickgate.v1` (the default) or `tickgate.v2`; JSON text both ways, `protocol/control.py`;
binary frames from here only.
"""

from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway.ws.audience import Watchlist
from gateway.ws.delivery import Delivery
from gateway.ws.endpoint import Client
from gateway.ws.outbox import KINDS
from protocol.events import Kind
from protocol.session import SUBPROTOCOL_V1, SUBPROTOCOL_V2, VERSIONS, Reaction, ServerSession


class StreamClient(Client):
    """Prices, quotes, trades, candles and Enigma levels, in the version that it has chosen."""

    path = "/api/v1/ws"
    subprotocols = (SUBPROTOCOL_V1, SUBPROTOCOL_V2)
    has_market_watch = True

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        super().__init__(config, server_state, app_state)
        self.trades = Delivery(self, self.clients.replays)
        self._watched_trades: frozenset[int] = frozenset()

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

    def leave(self) -> None:
        super().leave()
        self.trades.stop()

    # The stream

    def join(self) -> None:
        self._watched_trades = frozenset(self.session.trades)
        self.trades.forget(self._watched_trades)
        super().join()

    def watchlist(self) -> Watchlist:
        session = self.session
        watchlist = Watchlist(
            self.form,
            frozenset(session.prices | session.market_watch),
            frozenset(session.quotes),
            self.trades.live(self._watched_trades),
            frozenset(session.enigma),
            self.candles.live(session.candles),
        )
        for kind in KINDS:
            self.outbox.forget(watchlist.watched(kind), kind)
        return watchlist

    def _send_newest(self, ids: list[int]) -> None:
        watchlist = self.audience.watchlist if self.audience else None
        for kind in KINDS:
            wanted = [one for one in ids if watchlist and one in watchlist.watched(kind)]
            if self.outbox.is_full:
                totals = self.clients.fanout.tables[kind].changes
                self.miss(kind, {one: int(totals[one]) - 1 for one in wanted if one < len(totals)})
            else:
                self._send_values(kind, wanted, {})

    def _send_values(self, kind: Kind, ids: list[int], baseline: dict[int, int]) -> None:
        frame = self.clients.fanout.newest(kind, self.form, ids, baseline)
        if frame is not None:
            self.write_frames(frame)

    # A slow client

    def pause_writing(self) -> None:
        self.trades.on_full()
        super().pause_writing()

    def catch_up(self) -> None:
        for kind in KINDS:
            missed = self.outbox.take(kind)
            if missed:
                self._send_values(kind, list(missed), missed)
        self.trades.catch_up()
        super().catch_up()
