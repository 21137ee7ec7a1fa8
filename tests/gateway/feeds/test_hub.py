"""The hub between the simulated exchange's sockets and its REST, under the faults it is made for."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from gateway.exchanges.venue import VENUES
from gateway.feeds.boundary import Boundary
from gateway.feeds.connections.connection import Patience
from gateway.feeds.connections.pool import ConnectionPool
from gateway.feeds.hub import Hub, now_us
from gateway.feeds.rest import Rest
from gateway.sim.faults import Fault, FaultKind
from gateway.sim.server import SimOptions, SimulatedExchange
from protocol.events import Gap, GapCause, GapState
from protocol.ledger import LedgerEntry
from protocol.market import AggTrade, Bar, BookTop, MarketEvent

PATH = {"binance": "", "binance-usdm": "/fstream"}
PATIENT = Patience(first_backoff_ms=20, longest_backoff_ms=100)


class Reader:
    """Where a hub delivers: keeps what comes and wakes whoever waits for something in it."""

    has_room = True

    def __init__(self) -> None:
        self.trades: defaultdict[str, list[AggTrade]] = defaultdict(list)
        self.recovered: defaultdict[str, set[int]] = defaultdict(set)
        self.glimpsed: defaultdict[str, list[int]] = defaultdict(list)
        self.others: list[MarketEvent] = []
        self.gaps: list[tuple[str, Gap]] = []
        self.entries: list[LedgerEntry] = []
        self.turns = 0
        self._more = asyncio.Event()

    def on_event(self, event: MarketEvent, _received_us: int) -> None:
        if isinstance(event, AggTrade):
            self.trades[event.native].append(event)
        else:
            self.others.append(event)
        self._more.set()

    def on_run(self, native: str, run: Sequence[AggTrade], _received_us: int) -> None:
        self.trades[native] += run
        self._more.set()

    def begin_turn(self) -> None:
        self.turns += 1

    def end_turn(self) -> None:
        pass

    def on_recovered(self, trade: AggTrade, _received_us: int) -> None:
        self.trades[trade.native].append(trade)
        self.recovered[trade.native].add(trade.id)
        self._more.set()

    def glimpse(self, trade: AggTrade, _received_us: int) -> None:
        self.glimpsed[trade.native].append(trade.id)

    def on_gap(self, native: str, gap: Gap) -> None:
        self.gaps.append((native, gap))
        self._more.set()

    def begin_anew(self, native: str) -> None:
        self.trades[native].clear()

    def note(self, entry: LedgerEntry) -> None:
        self.entries.append(entry)
        self._more.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(25):
            while not condition():
                self._more.clear()
                await self._more.wait()

    def ids(self, native: str) -> list[int]:
        return [trade.id for trade in self.trades[native]]

    def states(self, native: str) -> list[GapState]:
        return [GapState(gap.state) for one, gap in self.gaps if one == native]


class Running:
    def __init__(self, sim: SimulatedExchange, rest: Rest, hub: Hub, reader: Reader) -> None:
        self.sim = sim
        self.rest = rest
        self.hub = hub
        self.reader = reader

    async def more(self, native: str, count: int) -> None:
        goal = len(self.reader.trades[native]) + count
        await self.reader.until(lambda: len(self.reader.trades[native]) >= goal)

    async def equals_the_venue(self, native: str) -> None:
        """Check that the trades delivered are the venue's, each once, from the first to the last."""
        heard = self.reader.trades[native].copy()
        told: list[AggTrade] = []
        while not told or told[-1].id < heard[-1].id:
            told += await self.rest.agg_trades(native, told[-1].id + 1 if told else heard[0].id, 1_000)
        told = [trade for trade in told if trade.id <= heard[-1].id]
        # What was just within the venue's reach when it was delivered may be beyond it by now.
        gone = told[0].id - heard[0].id
        assert gone < 100
        heard = heard[max(gone, 0) :]
        assert [without_sending(one) for one in heard] == [without_sending(one) for one in told]


def without_sending(trade: AggTrade) -> AggTrade:
    """Leave out what REST does not know: when the stream sent it."""
    return trade._replace(sent_us=0)


@asynccontextmanager
async def running(
    natives: tuple[str, ...] = ("BTCUSDT", "ETHUSDT"),
    name: str = "binance",
    *,
    rate: float = 100.0,
    last_ids: dict[str, int] | None = None,
    **options: int,
) -> AsyncIterator[Running]:
    """Run an exchange, a pool and a hub that follow these symbols."""
    reader = Reader()
    async with SimulatedExchange(SimOptions(symbols=3, rate=rate)) as sim:
        venue = VENUES[name].with_endpoints(f"ws://127.0.0.1:{sim.port}{PATH[name]}", sim.url)
        async with Rest(venue, first_backoff_ms=20) as rest:
            hub = Hub(venue, reader, rest, reader.note, **options)
            for number, native in enumerate(natives, start=1):
                hub.add_symbol(native, number)
            if last_ids:
                hub.restore(last_ids, now_us() - 60_000_000)
            kinds = ("aggTrade", "bookTicker")
            pool = ConnectionPool(venue, kinds, hub.on_turn, on_boundary=hub.on_boundary, patience=PATIENT)
            tending = asyncio.create_task(hub.run())
            try:
                async with pool:
                    pool.want(natives)
                    yield Running(sim, rest, hub, reader)
            finally:
                tending.cancel()
                with suppress(asyncio.CancelledError):
                    await tending


async def test_without_faults_everything_passes_and_nothing_is_written():
    async with running() as run:
        await run.more("BTCUSDT", 50)
        await run.equals_the_venue("BTCUSDT")
        await run.reader.until(lambda: any(isinstance(one, BookTop) for one in run.reader.others))
    assert run.reader.entries == []


async def test_lost_doubled_and_swapped_messages_make_no_difference_to_the_trades():
    async with running() as run:
        await run.more("BTCUSDT", 5)
        for kind, share in ((FaultKind.LOSE, 0.05), (FaultKind.DUPLICATE, 0.1), (FaultKind.REORDER, 0.1)):
            run.sim.inject(Fault(kind, share=share, seconds=2.0))
        await run.more("BTCUSDT", 300)
        await run.more("ETHUSDT", 50)
        for native in ("BTCUSDT", "ETHUSDT"):
            assert run.reader.recovered[native]
            assert run.reader.ids(native) == sorted(run.reader.ids(native)), "in the order of ids"
            await run.equals_the_venue(native)
    closed = {entry.id: entry for entry in run.reader.entries}
    assert {entry.cause for entry in closed.values()} == {GapCause.SKIPPED}
    assert run.hub.describe()["duplicates"] > 0


async def test_what_is_missed_while_a_connection_is_cut_is_fetched():
    async with running() as run:
        await run.more("BTCUSDT", 5)
        run.sim.inject(Fault(FaultKind.CUT, seconds=0.5, streams=("aggTrade",)))
        await run.reader.until(lambda: len(run.reader.recovered["BTCUSDT"]) > 20)
        await run.more("BTCUSDT", 20)
        await run.equals_the_venue("BTCUSDT")
    ends = [entry for entry in run.reader.entries if entry.native == "_connections"]
    assert ends[0].cause is GapCause.CONNECTION_LOST
    gap = next(entry for entry in run.reader.entries if entry.native == "BTCUSDT")
    assert gap.cause is GapCause.CONNECTION_LOST


async def test_while_one_symbol_is_held_back_the_others_and_its_price_flow():
    async with running() as run:
        await run.more("BTCUSDT", 5)
        run.sim.inject(Fault(FaultKind.RATE_LIMIT, retry_after=1))
        run.sim.inject(Fault(FaultKind.LOSE, symbols=("BTCUSDT",), streams=("aggTrade",), seconds=0.2))
        await run.reader.until(lambda: len(run.reader.glimpsed["BTCUSDT"]) > 5)
        await run.more("ETHUSDT", 50)
        assert run.hub.describe()["held_back"] > 0
        run.sim.exchange.clear_faults()
        await run.more("BTCUSDT", 50)
        await run.equals_the_venue("BTCUSDT")
    assert run.reader.gaps == []


async def test_when_rest_is_closed_for_longer_than_trades_are_held_the_gap_is_told_and_filled_later():
    async with running(hold_back_trades=50) as run:
        await run.more("BTCUSDT", 5)
        run.sim.inject(Fault(FaultKind.RATE_LIMIT, retry_after=1))
        run.sim.inject(Fault(FaultKind.LOSE, symbols=("BTCUSDT",), streams=("aggTrade",), seconds=0.2))
        await run.reader.until(lambda: run.reader.states("BTCUSDT") == [GapState.OPEN])
        await run.more("BTCUSDT", 20)
        run.sim.exchange.clear_faults()
        await run.reader.until(lambda: run.reader.states("BTCUSDT") == [GapState.OPEN, GapState.FILLED])
        run.reader.trades["BTCUSDT"].sort(key=lambda trade: trade.id)
        await run.equals_the_venue("BTCUSDT")
    states = [entry.state for entry in run.reader.entries if entry.native == "BTCUSDT"]
    assert states == [GapState.OPEN, GapState.FILLED]


async def test_what_is_beyond_the_venues_reach_is_lost_and_the_rest_is_there():
    async with running(("BTCUSDT",), "binance-usdm", rate=20) as run:
        (newest,) = await run.rest.agg_trades("BTCUSDT", None, 1)
        (oldest,) = await run.rest.agg_trades("BTCUSDT", 1, 1)
    known = oldest.id - 500
    async with running(("BTCUSDT",), "binance-usdm", rate=20, last_ids={"BTCUSDT": known}) as run:
        await run.reader.until(lambda: GapState.LOST in run.reader.states("BTCUSDT"))
        (lost,) = [gap for _, gap in run.reader.gaps if gap.state == GapState.LOST]
        await run.reader.until(lambda: run.hub.describe()["open_gaps"] == 0)
        await run.more("BTCUSDT", 5)
        assert lost.first_id == known + 1
        assert run.reader.ids("BTCUSDT")[0] == lost.last_id + 1
        assert abs(lost.last_id + 1 - oldest.id) < 10, "the reach has gone on a little"
        await run.equals_the_venue("BTCUSDT")
    assert newest.id > oldest.id
    (entry,) = [one for one in run.reader.entries if one.native == "BTCUSDT" and one.state is GapState.LOST]
    assert entry.cause is GapCause.WORKER_RESTARTED
    assert entry.missing == lost.last_id - known


async def test_a_symbol_that_falls_silent_with_its_connection_is_asked_about():
    async with running() as run:
        await run.more("BTCUSDT", 5)
        run.sim.inject(Fault(FaultKind.LOSE, symbols=("BTCUSDT",), streams=("aggTrade",)))
        await run.more("ETHUSDT", 20)
        gone = Boundary("aggTrade", "aggTrade-0", GapCause.MUTE, frozenset({"BTCUSDT"}), 0, now_us(), "")
        run.hub.on_boundary(gone)
        await run.reader.until(lambda: len(run.reader.recovered["BTCUSDT"]) > 20)
        await run.equals_the_venue("BTCUSDT")
    (entry,) = [one for one in run.reader.entries if one.native == "BTCUSDT"]
    assert (entry.cause, entry.state) == (GapCause.MUTE, GapState.FILLED)


async def test_ids_that_begin_anew_do_not_freeze_a_symbol():
    async with running(last_ids={"BTCUSDT": 10**15}) as run:
        await run.reader.until(lambda: GapState.LOST in run.reader.states("BTCUSDT"))
        await run.more("BTCUSDT", 20)
        await run.equals_the_venue("BTCUSDT")
    assert "began anew" in next(one for one in run.reader.entries if one.native == "BTCUSDT").detail


async def test_every_end_of_a_connection_is_written_down_though_nothing_was_missing():
    async with running() as run:
        run.hub.on_boundary(
            Boundary("bookTicker", "bookTicker-0", GapCause.ROTATED, frozenset({"BTCUSDT"}), 1, 2, "too old")
        )
    (entry,) = run.reader.entries
    assert (entry.native, entry.stream, entry.cause) == ("_connections", "bookTicker", GapCause.ROTATED)
    assert (entry.state, entry.missing, entry.first_us, entry.last_us) == (GapState.FILLED, 0, 1, 2)
    assert entry.detail == "bookTicker-0: too old"


async def test_final_bars_that_did_not_come_are_written_down():
    bar = Bar("BTCUSDT", 1, 60_000, *[1.0] * 8, 1, 1, 1, True, 0)
    async with running() as run:
        for minute in (1, 2, 5):
            run.hub.on_event(bar._replace(open_ms=minute * 60_000), 0)
            run.hub.on_event(bar._replace(open_ms=(minute + 1) * 60_000, final=False), 0)
    (entry,) = run.reader.entries
    assert (entry.stream, entry.missing, entry.state) == ("kline_1m", 2, GapState.LOST)
    assert (entry.first_us, entry.last_us) == (180_000_000, 240_000_000)


async def test_a_symbol_that_is_let_go_leaves_no_gap_open():
    reader = Reader()
    hub = Hub(VENUES["binance"], reader, Exhausted(), reader.note)
    hub.add_symbol("BTCUSDT", 1)
    for known in (1, 3):
        hub.on_event(trade_of("BTCUSDT", known), 0)
    hub.drop_symbol("BTCUSDT")
    assert reader.ids("BTCUSDT") == [1, 3]
    assert reader.states("BTCUSDT") == [GapState.LOST]
    assert [entry.state for entry in reader.entries] == [GapState.LOST]


async def test_a_symbol_that_is_let_go_and_comes_back_says_what_it_traded_meanwhile_and_asks_for_nothing():
    async with running() as run:
        await run.more("BTCUSDT", 5)
        run.hub.drop_symbol("BTCUSDT")
        left = run.hub.last_id("BTCUSDT"), run.reader.ids("BTCUSDT")[-1]
        await run.more("ETHUSDT", 10)
        run.reader.trades.clear()
        run.hub.take_up("BTCUSDT", 1)
        await run.more("BTCUSDT", 5)
    (entry,) = run.reader.entries
    first = run.reader.ids("BTCUSDT")[0]
    assert left[0] == 0
    assert entry.cause is GapCause.NOT_CARRIED
    assert entry.first_id > left[1]
    assert entry.last_id == first - 1
    assert not run.reader.recovered
    assert not run.hub.written


async def test_bars_that_came_while_nobody_wanted_the_symbol_are_not_missed():
    bar = Bar("BTCUSDT", 1, 60_000, *[1.0] * 8, 1, 1, 1, True, 0)
    reader = Reader()
    hub = Hub(VENUES["binance"], reader, Exhausted(), reader.note)
    hub.add_symbol("BTCUSDT", 1)
    hub.on_event(bar, 0)
    hub.drop_symbol("BTCUSDT")
    hub.take_up("BTCUSDT", 1)
    hub.on_event(bar._replace(open_ms=600_000), 0)
    assert reader.entries == []


class Exhausted:
    """A venue of whose minute half is used up."""

    has_spare = False

    def __init__(self) -> None:
        self.asked: asyncio.Queue[str] = asyncio.Queue()

    async def agg_trades(self, native: str, from_id: int | None, limit: int) -> list[AggTrade]:
        self.asked.put_nowait(native)
        return [trade_of(native, known) for known in range(from_id or 1, (from_id or 1) + limit)]


def trade_of(native: str, trade_id: int) -> AggTrade:
    at = now_us()
    return AggTrade(native, trade_id, 1.0, 1.0, False, at, at, trade_id, trade_id)


async def test_the_second_half_of_a_minute_is_spread_over_it():
    venue, reader = Exhausted(), Reader()
    hub = Hub(VENUES["binance-usdm"], reader, venue, reader.note)
    natives = [f"S{number}USDT" for number in range(20)]
    for number, native in enumerate(natives, start=1):
        hub.add_symbol(native, number)
        hub.on_event(trade_of(native, 1), 0)
        hub.on_event(trade_of(native, 3), 0)
    tending = asyncio.create_task(hub.run())
    async with asyncio.timeout(10):
        first = [await venue.asked.get() for _ in range(5)]  # 2,400 / 20 / 2 a minute are 5 in 5 seconds
    assert len(set(first)) == 5
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(venue.asked.get(), 0.3)
    assert hub.describe()["held_back"] == 15
    tending.cancel()
    with suppress(asyncio.CancelledError):
        await tending


async def test_an_older_book_is_dropped_and_those_of_another_symbol_are_not():
    venue, reader = VENUES["binance"], Reader()
    async with Rest(venue) as rest:
        hub = Hub(venue, reader, rest, reader.note)
        hub.add_symbol("BTCUSDT", 1)
        hub.add_symbol("ETHUSDT", 2)
        first = BookTop("BTCUSDT", 5, 1.0, 1.0, 2.0, 1.0, 0)
        other = first._replace(native="ETHUSDT", update_id=3)
        for book in (first, first._replace(update_id=4), first, other):
            hub.on_event(book, now_us())
    assert reader.others == [first, other]
    assert hub.describe()["stale_books"] == 2
