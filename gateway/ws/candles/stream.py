"""`/ws`: one client of the JSON candle stream (`protocol/candle_stream.py`)."""

from http import HTTPStatus
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway.ws.audience import Form, Watchlist
from gateway.ws.connection import Refusal
from gateway.ws.endpoint import Client
from protocol.candle_stream import CandleSession, CandleWish, parse_address
from protocol.errors import BadMessage


class CandleClient(Client):
    """Candles as JSON: the final ones and, if the address asks for them, the running ones too."""

    __slots__ = ("_is_welcome", "_wish")

    path = "/ws"
    session: CandleSession
    _wish: CandleWish

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        super().__init__(config, server_state, app_state)
        self._is_welcome = False

    def read_address(self, query: str) -> Refusal | None:
        try:
            self._wish = parse_address(query)
        except BadMessage as error:
            return Refusal(HTTPStatus.BAD_REQUEST, f"{error}\n")
        self.form = Form.JSON_PARTIALS if self._wish.partials else Form.JSON
        return None

    def on_open(self) -> None:
        limits = self.clients.limits.session
        self.session = CandleSession(self.clients.symbols, limits, self.admission.standing)
        super().on_open()

    def on_admitted(self) -> None:
        if not self._is_welcome:
            self._is_welcome = True
            greeting, reaction = self.session.welcome(self._wish)
            self.send_text(greeting)
            self.act(reaction)

    def watchlist(self) -> Watchlist:
        return Watchlist(self.form, candles=self.live_candles())
