"""What a gateway answers on the bus: the REST answers for services that speak NATS.

    request.symbols                    the list of /api/v1/symbols
    request.price.<venue>.<native>     one of /api/v1/symbols/{symbol}/price

Any one gateway answers; what does not exist is a service error 404.
"""

import msgspec

from gateway.api.market import describe, price_of
from gateway.ws.endpoint import Clients
from processors.bus import Endpoint
from protocol import subjects


def endpoints(clients: Clients) -> list[Endpoint]:
    """Build the endpoints on this gateway's symbols and newest values."""

    def answer_symbols(_subject: str, _payload: bytes) -> bytes:
        return msgspec.json.encode([describe(one, clients.fanout) for one in clients.symbols])

    def answer_price(subject: str, _payload: bytes) -> bytes:
        venue, native = subjects.parse_request_price(subject)
        instrument = clients.symbols.by_native(venue, native)
        price = price_of(instrument, clients.fanout) if instrument else None
        if price is None:
            raise KeyError(f"{venue} {native}")
        return msgspec.json.encode(price)

    return [
        Endpoint("symbols", subjects.REQUEST_SYMBOLS, answer_symbols),
        Endpoint("price", subjects.ANY_REQUEST_PRICE, answer_price),
    ]
