"""What a flush writes: to each audience what it watches of what changed, all kinds together."""

import asyncio
from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.native.sender import BY_TRANSPORT, Target
from gateway.ws.audience import Watchlist
from gateway.ws.candles.series import CandleMark
from gateway.ws.fanout import Fanout
from gateway.ws.lane import Mark
from protocol.batches import Batch
from protocol.events import Kind, Price, Quote
from protocol.frames import decode_v1, decode_v2, encode_v2
from protocol.symbols import SymbolTable

MANY = 60


class Written(asyncio.WriteTransport):
    """A transport that keeps what is written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)


class Watcher:
    """A member of an audience."""

    def __init__(self) -> None:
        self.transport = Written()
        self.target = Target(BY_TRANSPORT, self.transport)
        self.missed: list[tuple[Kind, dict[int, int]]] = []

    def miss(self, kind: Kind, baseline: dict[int, int]) -> None:
        self.missed.append((kind, baseline))

    def miss_trades(self, marks: dict[int, Mark]) -> None:
        raise AssertionError(f"nobody here watches trades: {marks}")

    def miss_candles(self, mark: CandleMark) -> None:
        raise AssertionError(f"nobody here watches candles: {mark}")

    def catch_up(self) -> None:
        raise AssertionError("nobody here is left to take by itself")


def payloads(stream: bytes) -> list[bytes]:
    """Take WebSocket frames of a server apart."""
    found = []
    while stream:
        assert stream[0] == 0x82
        size, start = stream[1], 2
        if size == 126:
            size, start = int.from_bytes(stream[2:4], "big"), 4
        found.append(stream[start : start + size])
        stream = stream[start + size :]
    return found


def batch(sequence: int, changed: dict[int, float]) -> Batch:
    rows = [Price(one, 1 << 8, 0, price, 1.0) for one, price in changed.items()]
    return Batch(1, sequence, 1, [decode_v2(encode_v2(rows, 1, Kind.PRICE))])


def in_a_loop(test: Callable[[], None]) -> None:
    """Run it, and one turn of the loop after it."""

    async def run() -> None:
        test()
        await asyncio.sleep(0)

    asyncio.run(run())


watchlists = st.lists(st.sets(st.integers(1, MANY), min_size=1, max_size=30), min_size=1, max_size=12)
rounds = st.lists(
    st.dictionaries(st.integers(1, MANY), st.floats(1, 9), max_size=MANY), min_size=1, max_size=4
)


@settings(deadline=None, max_examples=30)
@given(watchlists, rounds, st.sets(st.integers(0, 11)), st.sampled_from([1, 2]))
def test_every_audience_gets_what_it_watches_of_what_changed_however_much_that_is(
    watched: list[set[int]], changes: list[dict[int, float]], slow: set[int], version: int
):
    fanout = Fanout(SymbolTable())
    watchers = [Watcher() for _ in watched]
    for place, (watcher, ids) in enumerate(zip(watchers, watched, strict=True)):
        audience = fanout.audiences.join(Watchlist(version, frozenset(ids)), watcher)
        if place in slow:
            audience.pause(watcher)
    for sequence, changed in enumerate(changes):
        before = {one: int(fanout.tables[Kind.PRICE].changes[one]) for one in changed}
        in_a_loop(lambda changed=changed, sequence=sequence: fanout.on_batch(batch(sequence, changed)))
        for place, (watcher, ids) in enumerate(zip(watchers, watched, strict=True)):
            due = {one: changed[one] for one in sorted(ids & changed.keys())}
            written = [one for write in watcher.transport.writes for one in payloads(write)]
            if place in slow:
                assert written == []
                assert watcher.missed == ([(Kind.PRICE, {one: before[one] for one in due})] if due else [])
            elif version == 1:
                rows = [row[:2] for frame in written for row in decode_v1(frame).tolist()]
                assert rows == list(due.items())
            else:
                prices = [row for frame in written for row in decode_v2(frame).rows()]
                assert [(row.symbol_id, row.price) for row in prices] == list(due.items())
            watcher.transport.writes.clear()
            watcher.missed.clear()


def test_all_that_a_flush_has_for_a_client_is_one_write_in_the_order_of_the_kinds():
    fanout, watcher = Fanout(SymbolTable()), Watcher()
    fanout.audiences.join(Watchlist(2, frozenset({1}), frozenset({2})), watcher)
    quote = decode_v2(encode_v2([Quote(2, 1 << 8, 0, 1.0, 1.0, 2.0, 1.0)], 1))
    price = batch(1, {1: 5.0}).frames[0]
    in_a_loop(lambda: fanout.on_batch(Batch(1, 1, 1, [quote, price])))
    (write,) = watcher.transport.writes
    assert [decode_v2(one).kind for one in payloads(write)] == [Kind.PRICE, Kind.QUOTE]
    assert (fanout.frames_written, fanout.bytes_written) == (2, len(write))


def test_audiences_of_which_the_same_changed_share_the_bytes():
    fanout, first, second = Fanout(SymbolTable()), Watcher(), Watcher()
    fanout.audiences.join(Watchlist(1, frozenset({1, 2})), first)
    fanout.audiences.join(Watchlist(1, frozenset({1, 3})), second)
    in_a_loop(lambda: fanout.on_batch(batch(1, {1: 5.0})))
    assert first.transport.writes[0] is second.transport.writes[0]


def test_an_audience_that_is_left_is_written_to_no_more():
    fanout, watcher = Fanout(SymbolTable()), Watcher()
    audience = fanout.audiences.join(Watchlist(1, frozenset({1})), watcher)
    fanout.audiences.leave(audience, watcher)
    in_a_loop(lambda: fanout.on_batch(batch(1, {1: 5.0})))
    assert watcher.transport.writes == []
    assert not fanout.audiences.is_mostly(Kind.PRICE, np.array([1]))
