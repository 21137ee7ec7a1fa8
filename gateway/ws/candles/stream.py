"""`/ws`: one client of the JSON candle stream (`protocol/candle_stream.py`)."""

from http import HTTPStatus

from websockets.http11 import Request

from gateway.ws.audience import Form, Watchlist
from gateway.ws.endpoint import Client
from protocol.candle_stream import CandleSession, CandleWish, parse_address
from protocol.errors import BadMessage


class CandleClient(Client):
    """Candles as JSON: the final ones and, if the address asks for them, the running ones too."""

    path = "/ws"
    session: CandleSession
    _wish: CandleWish

    def on_request(self, request: Request) -> tuple[HTTPStatus, str] | None:
        refusal = super().on_request(request)
        if refusal is not None:
            return refusal
        try:
            self._wish = parse_address(request.path.partition("?")[2])
        except BadMessage as error:
            return HTTPStatus.BAD_REQUEST, f"{error}\n"
        self.form = Form.JSON_PARTIALS if self._wish.partials else Form.JSON
        return None

    def on_open(self) -> None:
        self.session = CandleSession(self.clients.symbols, self.clients.limits.session)
        super().on_open()
        greeting, reaction = self.session.welcome(self._wish)
        self.send_text(greeting)
        self.act(reaction)

    def watchlist(self) -> Watchlist:
        return Watchlist(self.form, candles=self.candles.live(self.session.candles))
