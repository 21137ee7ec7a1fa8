import httpx
from starlette.applications import Starlette

from gateway.accounts.identity import Identity
from gateway.api import enigma
from gateway.api.app import gated
from gateway.api.ledger import LedgerTable
from gateway.api.udf import marks
from protocol.symbols import Instrument, SymbolTable

KNOWN = {
    "level": 61.5,
    "ath": 100.0,
    "atl": 10.0,
    "current_price": 65.35,
    "price_us": 1_700_000_000_000_000,
    "ath_ms": 1_600_000_000_000,
    "atl_ms": 1_500_000_000_000,
    "ath_source": "live",
    "atl_source": "history",
    "fib_levels": {name: 10.0 + 0.9 * float(name) for name in enigma.LADDER},
}


async def test_the_level_comes_with_what_it_is_made_from(charted):
    charted.recorder.enigma[charted.symbol] = KNOWN
    body = (await charted.get(f"/api/v1/symbols/{charted.symbol}/enigma")).json()
    assert {name: body[name] for name in KNOWN} == KNOWN
    assert (body["symbol"], body["simulated"]) == (charted.symbol, True)


async def test_a_level_that_is_not_known_is_503_and_an_unknown_symbol_404(charted):
    unknown = await charted.get(f"/api/v1/symbols/{charted.symbol}/enigma")
    assert (unknown.status_code, unknown.json()["error"]) == (503, "history_unavailable")
    assert "not known yet" in unknown.json()["message"]
    assert (await charted.get("/api/v1/symbols/NOSUCH/enigma")).status_code == 404


async def test_switched_off_it_says_so_and_has_no_marks():
    table = SymbolTable()
    table.add(Instrument(id=1, symbol="BTCUSDT", venue="v", native="BTCUSDT", price_precision=2))
    routes = [
        *enigma.routes(table, None, enabled=False),
        *marks.routes(table, None, LedgerTable(), enigma=False),
    ]

    class Open:
        async def admit(self, *_):
            return Identity()

    transport = httpx.ASGITransport(gated(Starlette(routes=routes), Open()))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        off = await http.get("/api/v1/symbols/BTCUSDT/enigma")
        none = await http.get("/marks", params={"symbol": "BTCUSDT", "resolution": "1"})
    assert (off.status_code, off.json()["error"]) == (404, "feature_off")
    assert "FEATURE_ENIGMA_ENABLED" in off.json()["message"]
    assert none.json() == []
