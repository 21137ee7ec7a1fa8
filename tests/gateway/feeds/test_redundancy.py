"""Two lines for the same streams: the first arrival counts, and one of them may go."""

from listening import FEW, Heard, assert_whole, pool_of, seed_that_strikes, simulated, venue_at

from gateway.feeds.connections.connection import Phase
from gateway.sim.faults import Fault, FaultKind
from protocol.events import GapCause

WANTED = frozenset({"BTCUSDT", "ETHUSDT", "SOLUSDT"})


async def test_every_message_comes_twice_and_is_compared():
    heard = Heard()
    async with simulated() as sim, pool_of(venue_at(sim), heard, redundancy=2) as pool:
        pool.want(WANTED)
        await heard.until(lambda: len(heard.events) - len(set(heard.events)) >= 50)
        a, b = pool.state()
        assert [a.name, b.name] == ["aggTrade-0a", "aggTrade-0b"]
        assert a.streams == b.streams
        assert a.arrivals is not None
        assert b.arrivals is not None
        assert a.arrivals.first + b.arrivals.first >= 50
        assert max(a.arrivals.longest_lead_us, b.arrivals.longest_lead_us) > 0


async def test_a_lost_line_is_a_boundary_and_no_outage():
    heard = Heard()
    async with simulated(rate=200, seed=seed_that_strikes(1)) as sim:
        async with pool_of(venue_at(sim), heard, redundancy=2) as pool:
            pool.want(WANTED)
            await heard.until(lambda: {native for _, native in heard.seen()} == WANTED)
            await heard.until(lambda: [one.phase for one in pool.state()] == [Phase.LIVE] * 2)
            sim.inject(Fault(FaultKind.CUT, share=FEW))
            boundary = await heard.boundary()
            await heard.until(lambda: [one.phase for one in pool.state()] == [Phase.LIVE] * 2)
            await heard.more(100)
        assert heard.causes() == [GapCause.CONNECTION_LOST]
        assert boundary.natives == WANTED
        await assert_whole(sim, heard, WANTED)
