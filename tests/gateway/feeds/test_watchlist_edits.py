"""A thousand random edits of watchlists: nobody else loses anything, and the venue is not asked too often."""

import random
from pathlib import Path

import httpx
from fleet import Fleet, TradeClient, run_fleet, trade_client, until

from gateway.sim.server import SimOptions, SimulatedExchange
from protocol.events import GapCause

EDITS = 1_000
BASE = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT")
NODES = ("gateway-a", "gateway-b")
EDITS_A_TURN = 10
TRADES_A_TURN = 1


async def test_a_thousand_random_edits_harm_nobody_else(tmp_path: Path):
    async with (
        SimulatedExchange(SimOptions(symbols=60, rate=15, quotes_per_trade=0.2)) as sim,
        run_fleet(tmp_path, sim) as fleet,
        fleet.worker(",".join(BASE), 0, 2),
        fleet.worker(",".join(BASE), 1, 2),
        fleet.gateway() as address,
        trade_client(address) as client,
    ):
        await client.subscribe(*BASE)
        await client.until(lambda: len(client.trades) == len(BASE))
        most = await edit(fleet, client, await listed(address))
        await leave(fleet)
        await client.until(lambda: all(len(client.trades[one]) > 20 for one in BASE))
        async with httpx.AsyncClient(base_url=f"http://{address}") as http:
            stats = (await http.get("/stats")).json()
        for symbol in BASE:
            assert client.gaps(symbol) == []
            held = {one.id: (one.price, one.quantity) for one in client.trades[symbol].values()}
            assert held == await fleet.traded(symbol, min(held), max(held))
    assert most > 4 * len(BASE)
    assert (stats["holes"], stats["trades_lost"], stats["trades_doubled"]) == (0, 0, 0)
    assert not sim.exchange.counted["violation.messages"]
    assert 0 < sim.exchange.most_messages["spot"] <= sim.exchange.limits.spot_messages
    assert {one.cause for one in fleet.ledger if one.missing} <= {GapCause.NOT_CARRIED}


async def listed(address: str) -> list[str]:
    async with httpx.AsyncClient(base_url=f"http://{address}") as http:
        return sorted(one["symbol"] for one in (await http.get("/api/v1/symbols")).json())


async def edit(fleet: Fleet, client: TradeClient, symbols: list[str]) -> int:
    """Put symbols on the nodes' watchlists and take them off; return the most that were carried at a time."""
    draw = random.Random(3)
    watched: dict[str, set[str]] = {node: set() for node in NODES}
    most = 0
    for number in range(1, EDITS + 1):
        node = draw.choice(NODES)
        watched[node] ^= {draw.choice(symbols)}
        await fleet.say(node, *watched[node])
        if not number % EDITS_A_TURN:  # the market's own pace is the clock of this test
            await client.more(BASE[0], TRADES_A_TURN)
            most = max(most, len(await fleet.carried(0)) + len(await fleet.carried(1)))
    return most


async def leave(fleet: Fleet) -> None:
    """Want nothing any more, and wait until all but the base is let go."""
    for node in NODES:
        await fleet.say(node)
    base = {one.lower() for one in BASE}

    async def only_the_base_is_left() -> bool:
        return await fleet.carried(0) | await fleet.carried(1) == base

    await until(only_the_base_is_left)
