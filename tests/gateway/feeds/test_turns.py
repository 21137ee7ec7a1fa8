"""Messages that come together do what they would have done one by one."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.exchanges.errors import BadPayload
from gateway.exchanges.venue import VENUES
from gateway.feeds.boundary import Boundary
from gateway.feeds.connections.turn import Turn, read_turn
from gateway.feeds.hub import Hub
from processors.price import PriceProcessor
from protocol.batches import decode_batch
from protocol.events import Gap, GapCause, Kind
from protocol.frames import decode_v2
from protocol.ledger import LedgerEntry
from protocol.market import Ack, AggTrade, DayTicker, MarketEvent, Shutdown

RECEIVED_US = 1_700_000_000_000_000
NATIVES = ("AUSDT", "BUSDT", "CUSDT")
UNKNOWN = "NOBODYSUSDT"
END = RECEIVED_US + 1


class Worker:
    """A hub and a price processor, and nothing that waits or sends."""

    def __init__(self) -> None:
        self.processor = PriceProcessor("binance", 0, epoch_us=1)
        self.entries: list[LedgerEntry] = []
        self.hub = Hub(VENUES["binance"], self, self, self.entries.append, hold_back_trades=4)
        for symbol_id, native in enumerate(NATIVES, 1):
            self.processor.add_symbol(native, symbol_id)
            self.hub.add_symbol(native, symbol_id)

    has_room = has_spare = True

    def on_event(self, event: MarketEvent, received_us: int) -> None:
        self.processor.on_event(event, received_us)

    def on_run(self, native: str, run: Sequence[AggTrade], received_us: int) -> None:
        self.processor.on_run(native, run, received_us)

    def begin_turn(self) -> None: ...

    def end_turn(self) -> None: ...

    def on_recovered(self, trade: AggTrade, received_us: int) -> None:
        self.processor.on_recovered(trade, received_us)

    def glimpse(self, trade: AggTrade, received_us: int) -> None:
        self.processor.glimpse(trade, received_us)

    def on_gap(self, native: str, gap: Gap) -> None:
        self.processor.on_gap(native, gap, RECEIVED_US)

    def begin_anew(self, native: str) -> None:
        self.processor.begin_anew(native)

    async def agg_trades(self, native: str, from_id: int | None, limit: int) -> list[AggTrade]:
        raise NotImplementedError

    def on_boundary(self, native: str) -> None:
        cause = GapCause.CONNECTION_LOST
        self.hub.on_boundary(Boundary("aggTrade", "aggTrade-0", cause, frozenset({native}), 1, 2, "cut"))

    def sums_up(self) -> dict[str, Any]:
        """Say all that somebody can see of what it did."""
        counters = self.processor.counters
        lane: dict[int, list[Any]] = {}
        others, own = [], dict[str, list[Any]]()
        while messages := self.processor.take_batch(END):
            for frame in decode_batch(messages[0].payload).frames:
                if frame.kind in (Kind.TRADE, Kind.GAP):
                    for row in frame.rows():
                        lane.setdefault(row.symbol_id, []).append(row)
                else:
                    others += frame.rows()
            for message in messages[1:]:
                own.setdefault(message.subject, []).extend(decode_v2(message.payload).rows())
        return {
            "lane": lane,
            "others": sorted(others),
            "own": own,
            "counters": (counters.events, counters.duplicates, counters.unknown_symbols, counters.records),
            "hub": self.hub.describe(),
            "safe": self.hub.safe_ids(),
            "entries": [
                (one.native, one.state, one.cause, one.first_id, one.last_id) for one in self.entries
            ],
            "tapes": {native: self.processor.tape(native).since(0) for native in NATIVES},
            "priced": [one.price_changes for one in self.processor.states()],
        }


@st.composite
def streams(draw: st.DrawFn) -> list[MarketEvent | str]:
    """Trades of several symbols with holes, doubles and late ones; tickers; whose connection was lost."""
    newest = dict.fromkeys((*NATIVES, UNKNOWN), 100)
    # Mostly the next id; else a jump, a double, or one from before, which may have been left out.
    step = st.sampled_from([1] * 12 + [2, 3, 9, 0, -1, -2, -4])
    names = st.sampled_from([*NATIVES, *NATIVES, *NATIVES, UNKNOWN])
    told: list[MarketEvent | str] = []
    for number, native in enumerate(draw(st.lists(names, min_size=10, max_size=80))):
        match draw(st.integers(0, 24)):
            case 0:
                told.append(native)
            case 1:
                told.append(DayTicker(native, 5.0, 1_000.0, number + 8))  # of some trades to come too
            case _:
                trade_id = newest[native] + draw(step)
                newest[native] = max(newest[native], trade_id)
                sent = number if draw(st.booleans()) else 0
                told.append(
                    AggTrade(native, trade_id, float(trade_id), 0.25, trade_id % 2 == 0, number, sent, 7, 7)
                )
    return told


def in_turns(worker: Worker, told: list[MarketEvent | str], ends: set[int]) -> None:
    """Hand over what was told in turns that end where it says, and wherever a connection is lost."""
    turn: Turn = {}
    for place, one in enumerate(told):
        if isinstance(one, str) or place in ends:
            worker.hub.on_turn(turn, RECEIVED_US)
            turn = {}
        if isinstance(one, str):
            worker.on_boundary(one)
        else:
            turn.setdefault(one.native, []).append(one)
    worker.hub.on_turn(turn, RECEIVED_US)


@given(streams(), st.sets(st.integers(0, 80), max_size=12))
def test_however_a_stream_is_cut_into_turns_the_same_comes_of_it(
    told: list[MarketEvent | str], ends: set[int]
) -> None:
    single, together = Worker(), Worker()
    for one in told:
        if isinstance(one, str):
            single.on_boundary(one)
        else:
            single.hub.on_event(one, RECEIVED_US)
    in_turns(together, told, ends)
    # What is written when symbols come together is written symbol by symbol.
    expected, found = single.sums_up(), together.sums_up()
    assert sorted(found.pop("entries")) == sorted(expected.pop("entries"))
    assert found == expected


def trades(native: str, *ids: int) -> list[MarketEvent]:
    return [AggTrade(native, one, 1.0, 1.0, False, one, one, one, one) for one in ids]


def test_a_burst_with_a_hole_a_double_and_a_swap_is_put_in_order() -> None:
    worker = Worker()
    burst = trades("AUSDT", 1, 2, 3, 3, 5, 4, 6, 7, 6, 9, 10)
    worker.hub.on_turn({"AUSDT": burst}, RECEIVED_US)
    seen = worker.sums_up()
    assert [row.id for row in seen["lane"][1]] == [1, 2, 3, 4, 5, 6, 7], "9 and 10 wait for 8"
    assert [row.price for row in seen["others"]] == [1.0]
    assert (seen["hub"]["duplicates"], seen["hub"]["held_back"], seen["hub"]["open_gaps"]) == (2, 2, 1)


def test_a_turn_is_sorted_by_symbol_and_what_is_of_none_is_told_at_once() -> None:
    said = {
        b"a1": trades("AUSDT", 1)[0],
        b"b1": trades("BUSDT", 1)[0],
        b"a2": trades("AUSDT", 2)[0],
        b"ack": Ack(1, None),
        b"end": Shutdown(1),
        b"foreign": None,
    }

    def parse(data: bytes) -> Any:
        if data not in said:
            raise BadPayload("nonsense")
        return said[data]

    notices: list[Any] = []
    bad: list[tuple[bytes, str]] = []
    messages = [b"a1", b"ack", b"b1", b"?", b"a2", b"foreign", b"end"]
    turn = read_turn(messages, parse, notices.append, lambda data, error: bad.append((data, error.reason)))
    assert turn == {"AUSDT": trades("AUSDT", 1, 2), "BUSDT": trades("BUSDT", 1)}
    assert notices == [Ack(1, None), Shutdown(1)]
    assert bad == [(b"?", "nonsense")]


def test_nothing_of_a_symbol_makes_an_empty_turn() -> None:
    assert read_turn([b"x"], lambda _: None, NotImplemented, NotImplemented) == {}
