import numpy as np
import pytest
from compact_reader import CompactReader, decode
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ws.compact import MIN_SERVED, CompactPrices
from protocol.compact import MAX_VOLUME_STEP
from protocol.events import Base, Compact, Kind, Price
from protocol.frames import decode_v2, encode_v2
from protocol.symbols import Instrument, SymbolTable
from protocol.table import PriceTable

NOW_US = 1_790_000_000_000_000
HUNDREDTHS = 10**2


class Market:
    """Prices and volumes in hundredths, and the compact prices of a gateway that has heard them."""

    def __init__(self, *unlisted: int) -> None:
        self.table, symbols = PriceTable(Kind.PRICE), SymbolTable()
        for symbol_id in {1, 2, 3, 4} - set(unlisted):
            name = f"COIN{symbol_id}USDT"
            symbols.add(
                Instrument(
                    id=symbol_id,
                    symbol=name,
                    venue="sim",
                    native=name,
                    price_precision=2,
                    quantity_precision=2,
                )
            )
        self.compact = CompactPrices(self.table, symbols)
        self.values: dict[int, tuple[float, float]] = {}

    def hear(self, **amounts: tuple[float, float]) -> dict[int, int]:
        """Take in new values, `s1=(price, volume)`; return what changed, as a flush has it."""
        values = {int(name[1:]): amount for name, amount in amounts.items()}
        rows = [Price(symbol_id, 256, 1_000, *amount) for symbol_id, amount in values.items()]
        self.table.update(decode_v2(encode_v2(rows, NOW_US, Kind.PRICE)))
        self.values.update(values)
        return dict.fromkeys(values, 1)

    def flush(self, **amounts: tuple[float, float]) -> bytes:
        """Write new values for all who watch them."""
        changed = self.hear(**amounts)
        return self.compact.on_flush(changed, NOW_US).of(list(changed))

    def newest(self, *ids: int) -> bytes:
        return self.compact.encode_newest(np.array(ids, np.uint16), np.ones(len(ids), np.int64), NOW_US)


def read(data: bytes) -> list[tuple[Kind, list[object]]]:
    return [(frame.kind, frame.rows()) for frame in decode(data)]


def test_a_first_value_comes_as_its_base_and_a_difference_of_nothing():
    assert read(Market().flush(s1=(64.25, 1000.5))) == [
        (Kind.BASE, [Base(1, 2, 2, 0, 6_425, 100_050)]),
        (Kind.COMPACT, [Compact(1, 0, 0)]),
    ]


def test_later_values_come_as_differences_from_it():
    market = Market()
    market.flush(s1=(64.25, 1000.5), s2=(1.0, 1.0))
    assert read(market.flush(s1=(64.2, 1000.51))) == [(Kind.COMPACT, [Compact(1, -5, 1)])]
    assert read(market.flush(s2=(1.01, 0.99))) == [(Kind.COMPACT, [Compact(2, 1, -1)])]


def test_what_is_out_of_reach_of_a_base_that_has_served_gets_a_new_one():
    market = Market()
    for hundredth in range(MIN_SERVED):
        market.flush(s1=(64.25, 1000.0 + hundredth / HUNDREDTHS))
    assert read(market.flush(s1=(64.25, 100_000.0))) == [
        (Kind.BASE, [Base(1, 2, 2, 0, 6_425, 10_000_000)]),
        (Kind.COMPACT, [Compact(1, 0, 0)]),
    ]


def test_what_is_out_of_reach_of_a_young_base_comes_as_a_price_and_leaves_it():
    market = Market()
    market.flush(s1=(64.25, 1000.0))
    assert read(market.flush(s1=(64.25, 100_000.0))) == [
        (Kind.PRICE, [Price(1, 256, 1_000, 64.25, 100_000.0)])
    ]
    assert read(market.flush(s1=(64.25, 1000.01))) == [(Kind.COMPACT, [Compact(1, 0, 1)])]


def test_a_symbol_that_jumps_each_time_gets_no_base_more_often_than_every_fourth_time():
    market, reader = Market(), CompactReader()
    jump = 2 * MAX_VOLUME_STEP
    for number in range(4 * MIN_SERVED):
        reader.read(market.flush(s1=(1.0, number * jump / HUNDREDTHS)))
        assert reader.newest == market.values
    assert reader.records == {
        Kind.BASE: 4,
        Kind.COMPACT: 4,
        Kind.PRICE: 4 * MIN_SERVED - 4,
    }


@pytest.mark.parametrize("value", [(64.255, 1000.0), (64.25, 0.001), (2.0**53, 1.0)])
def test_what_is_no_whole_number_of_units_comes_as_a_price(value):
    market = Market()
    assert read(market.flush(s1=value)) == [(Kind.PRICE, [Price(1, 256, 1_000, *value)])]


def test_a_symbol_of_which_no_digits_are_known_comes_as_a_price():
    assert read(Market(3).flush(s3=(1.0, 1.0))) == [(Kind.PRICE, [Price(3, 256, 1_000, 1.0, 1.0)])]


def test_each_audience_gets_its_own_of_one_flush_and_alike_ones_share_the_bytes():
    market = Market()
    changed = market.hear(s1=(1.0, 1.0), s2=(0.001, 1.0), s3=(3.0, 3.0))
    frames = market.compact.on_flush(changed, NOW_US)
    assert frames.of([1, 3]) is frames.of([1, 3])
    assert [kind for kind, _ in read(frames.of([2]))] == [Kind.PRICE]
    reader = CompactReader()
    reader.read(frames.of([3, 2]))
    assert reader.newest == {3: (3.0, 3.0), 2: (0.001, 1.0)}


def test_whoever_begins_gets_the_bases_of_all_and_their_newest_values():
    market = Market()
    market.flush(s1=(1.0, 1.0), s2=(2.0, 2.0))
    market.flush(s1=(1.01, 1.0), s2=(0.001, 2.0))
    assert read(market.newest(2, 1)) == [
        (Kind.BASE, [Base(2, 2, 2, 0, 200, 200), Base(1, 2, 2, 0, 100, 100)]),
        (Kind.COMPACT, [Compact(1, 1, 0)]),
        (Kind.PRICE, [Price(2, 256, 1_000, 0.001, 2.0)]),
    ]


def test_a_base_that_was_made_for_one_who_begins_is_told_to_all_with_the_next_flush_of_its_symbol():
    market = Market()
    market.hear(s1=(1.0, 1.0))
    base = (Kind.BASE, [Base(1, 2, 2, 0, 100, 100)])
    assert base in read(market.newest(1))
    assert base not in read(market.flush(s2=(1.0, 1.0)))
    assert base in read(market.flush(s1=(1.01, 1.0)))
    assert base not in read(market.flush(s1=(1.02, 1.0)))


AMOUNTS = st.one_of(
    st.integers(0, 3 * MAX_VOLUME_STEP).map(lambda units: units / HUNDREDTHS),
    st.integers(0, 500).map(lambda units: units / HUNDREDTHS),
    st.floats(0.0, 1e18),
)


@settings(deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from(["s1", "s2", "s3"]), st.tuples(AMOUNTS, AMOUNTS)), max_size=30)
)
def test_whatever_happens_it_is_read_as_it_was(flushes):
    market, reader = Market(3), CompactReader()
    for amounts in flushes:
        reader.read(market.flush(**amounts))
        assert reader.newest == market.values
