import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.messages import Message
from processors.price import PriceProcessor
from protocol import subjects
from protocol.batches import Batch, decode_batch
from protocol.events import Gap, GapCause, GapState, Kind, PriceFlag, TradeFlag, changes_of
from protocol.frames import decode_v2
from protocol.market import AggTrade, BookTop, DayTicker, RawTrade

NOW = 1_700_000_000_000_000


def processor(**options: int) -> PriceProcessor:
    made = PriceProcessor("binance", 3, epoch_us=NOW, **options)
    made.add_symbol("BTCUSDT", 1)
    made.add_symbol("ETHUSDT", 2)
    return made


def trade(
    trade_id: int, price: float = 100.0, native: str = "BTCUSDT", *, quantity: float = 1.0, at: int = 0
):
    at = at or NOW + trade_id
    return AggTrade(native, trade_id, price, quantity, False, at, at, trade_id, trade_id)


def book(update_id: int, bid: float = 99.0, sent_us: int = 0) -> BookTop:
    return BookTop("BTCUSDT", update_id, bid, 1.0, bid + 2, 2.0, sent_us)


def wire_of(messages: list[Message]) -> Batch:
    assert messages[0].subject == subjects.wire("binance", 3)
    return decode_batch(messages[0].payload)


def rows(batch: Batch, kind: Kind) -> list:
    return [row for frame in batch.frames if frame.kind is kind for row in frame.rows()]


def test_nothing_waiting_makes_no_batch():
    assert processor().take_batch(NOW) == []


def test_the_newest_price_wins_and_says_how_many_changes_it_stands_for():
    shard = processor()
    for trade_id, price in enumerate((100.0, 101.0, 102.0), start=1):
        shard.on_event(trade(trade_id, price), NOW)
    batch = wire_of(shard.take_batch(NOW + 50))
    (price,) = rows(batch, Kind.PRICE)
    assert (price.symbol_id, price.price, changes_of(price.flags)) == (1, 102.0, 3)
    assert price.delay_us == 50 - 3
    assert shard.take_batch(NOW + 60) == []


def test_every_trade_is_there_in_order_though_the_price_is_merged():
    shard = processor()
    for trade_id in range(1, 6):
        shard.on_event(trade(trade_id, 100.0 + trade_id), NOW)
    batch = wire_of(shard.take_batch(NOW))
    assert [row.id for row in rows(batch, Kind.TRADE)] == [1, 2, 3, 4, 5]
    assert len(rows(batch, Kind.PRICE)) == 1


def test_a_trade_that_was_heard_already_is_dropped_and_counted():
    shard = processor()
    for trade_id in (1, 2, 2, 1, 3):
        shard.on_event(trade(trade_id), NOW)
    batch = wire_of(shard.take_batch(NOW))
    assert [row.id for row in rows(batch, Kind.TRADE)] == [1, 2, 3]
    assert shard.counters.duplicates == 2


def test_a_recovered_trade_says_so():
    shard = processor()
    shard.on_recovered(trade(1), NOW)
    shard.on_recovered(trade(1), NOW)
    (row,) = rows(wire_of(shard.take_batch(NOW)), Kind.TRADE)
    assert row.flags == TradeFlag.RECOVERED
    assert shard.counters.duplicates == 1


def test_a_late_trade_goes_out_and_counts_and_does_not_move_the_price():
    shard = processor()
    shard.on_event(DayTicker("BTCUSDT", 100.0, 500.0, NOW), NOW)
    for trade_id, price in ((1, 100.0), (3, 103.0)):
        shard.on_event(trade(trade_id, price), NOW)
    wire_of(shard.take_batch(NOW))
    shard.on_recovered(trade(2, 50.0), NOW)
    batch = wire_of(shard.take_batch(NOW))
    assert [row.id for row in rows(batch, Kind.TRADE)] == [2]
    assert rows(batch, Kind.PRICE) == []
    (price,) = rows(decode_batch(shard.snapshot(NOW)), Kind.PRICE)
    assert (price.price, price.volume) == (103.0, 503.0)


def test_the_price_of_a_trade_can_be_shown_before_the_trade_itself():
    shard = processor()
    shard.glimpse(trade(5, 105.0), NOW)
    early = wire_of(shard.take_batch(NOW))
    assert (rows(early, Kind.PRICE)[0].price, rows(early, Kind.TRADE)) == (105.0, [])
    shard.on_recovered(trade(4, 104.0), NOW)
    shard.on_event(trade(5, 105.0), NOW)
    late = wire_of(shard.take_batch(NOW))
    assert [row.id for row in rows(late, Kind.TRADE)] == [4, 5]
    assert rows(late, Kind.PRICE) == [], "it was shown already"


def gap(state: GapState, first_id: int, last_id: int) -> Gap:
    return Gap(1, state, GapCause.SKIPPED, first_id, last_id, NOW, NOW + 1)


def test_gaps_stand_between_the_trades_in_the_order_in_which_they_were_told():
    shard = processor()
    shard.on_event(trade(1), NOW)
    shard.on_gap("BTCUSDT", gap(GapState.OPEN, 2, 3), NOW)
    shard.on_event(trade(4), NOW)
    shard.on_recovered(trade(2), NOW)
    shard.on_gap("BTCUSDT", gap(GapState.LOST, 3, 3), NOW)
    messages = shard.take_batch(NOW)
    lane = [frame for frame in wire_of(messages).frames if frame.kind in (Kind.TRADE, Kind.GAP)]
    assert [frame.kind for frame in lane] == [Kind.TRADE, Kind.GAP, Kind.TRADE, Kind.GAP]
    assert [row.id for row in lane[2].rows()] == [4, 2]
    assert lane[1].rows() == [gap(GapState.OPEN, 2, 3)]
    [own] = [decode_v2(one.payload) for one in messages if one.subject == "trades.binance.BTCUSDT"]
    assert [row.id for row in own.rows()] == [1, 4, 2]


@given(st.integers(1, 9), st.integers(0, 12), st.integers(0, 12), st.integers(1, 9))
def test_a_run_is_what_its_trades_are_one_by_one(first_id: int, glimpsed: int, stated: int, count: int):
    run = [trade(one, 100.0 + one) for one in range(first_id, first_id + count)]
    single, together = processor(), processor()
    for shard in (single, together):
        shard.on_event(trade(5), NOW)
        shard.on_event(DayTicker("BTCUSDT", 100.0, 500.0, NOW + stated), NOW)
        shard.glimpse(trade(glimpsed), NOW)
    for one in run:
        single.on_event(one, NOW)
    together.on_run("BTCUSDT", run, NOW)
    assert together.take_batch(NOW) == single.take_batch(NOW)
    assert together.counters == single.counters
    assert together.tape("BTCUSDT").since(0) == single.tape("BTCUSDT").since(0)
    assert together.tape("BTCUSDT").holes() == single.tape("BTCUSDT").holes()


def test_a_run_of_a_symbol_that_is_not_known_is_counted():
    shard = processor()
    shard.on_run("DOGEUSDT", [trade(1, native="DOGEUSDT"), trade(2, native="DOGEUSDT")], NOW)
    assert shard.counters.unknown_symbols == 2
    assert shard.waiting == 0


@pytest.mark.parametrize("others", [(), (1, 2)])
def test_a_gap_behind_a_symbols_trade_is_not_in_its_own_message(others: tuple[int, ...]):
    shard = processor()
    shard.on_event(trade(1), NOW)
    for one in others:
        shard.on_event(trade(one, native="ETHUSDT"), NOW)
    shard.on_gap("BTCUSDT", gap(GapState.OPEN, 2, 3), NOW)
    [own] = [one.payload for one in shard.take_batch(NOW) if one.subject == "trades.binance.BTCUSDT"]
    assert decode_v2(own).kind is Kind.TRADE
    assert [row.id for row in decode_v2(own).rows()] == [1]


def test_a_symbols_own_message_has_its_trades_of_all_batches():
    shard = processor()
    shard.on_run("BTCUSDT", [trade(one) for one in range(1, 151)], NOW)
    shard.on_run("ETHUSDT", [trade(one, native="ETHUSDT") for one in (8, 9)], NOW)
    first, second = shard.take_batch(NOW), shard.take_batch(NOW)
    assert len(rows(wire_of(first), Kind.TRADE)) == 100
    assert [message.subject for message in first] == [subjects.wire("binance", 3)], "there is more to come"
    own = {one.subject: decode_v2(one.payload).rows() for one in second if one.subject.startswith("trades.")}
    assert {subject: [row.id for row in found] for subject, found in own.items()} == {
        "trades.binance.BTCUSDT": list(range(1, 151)),
        "trades.binance.ETHUSDT": [8, 9],
    }


def test_what_was_lost_is_waited_for_no_more():
    shard = processor()
    for trade_id in (1, 4):
        shard.on_event(trade(trade_id), NOW)
    shard.on_gap("BTCUSDT", gap(GapState.LOST, 2, 3), NOW)
    assert shard.tape("BTCUSDT").holes() == []


def test_the_newest_trades_stay_on_the_tape_when_they_were_sent():
    shard = processor(max_kept_trades=600)
    for trade_id in range(1, 301):
        shard.on_event(trade(trade_id), NOW)
    shard.take_batch(NOW)
    assert [row.id for row in shard.tape("BTCUSDT").between(1, 999)] == list(range(45, 301))


def test_the_more_symbols_there_are_the_fewer_trades_of_each_are_kept():
    shard = processor(max_kept_trades=1_536)
    for trade_id in range(1, 601):
        shard.on_event(trade(trade_id), NOW)
    assert len(shard.tape("BTCUSDT").between(1, 999)) == 512
    shard.add_symbol("SOLUSDT", 3)
    shard.add_symbol("XRPUSDT", 4)
    assert [row.id for row in shard.tape("BTCUSDT").between(1, 999)] == list(range(345, 601))
    shard.drop_symbol("SOLUSDT")
    shard.drop_symbol("XRPUSDT")
    for trade_id in range(601, 701):
        shard.on_event(trade(trade_id), NOW)
    assert [row.id for row in shard.tape("BTCUSDT").between(1, 999)] == list(range(345, 701))


def test_a_symbol_that_is_dropped_sends_what_waits_and_is_unknown_then():
    shard = processor()
    shard.on_event(trade(1), NOW)
    shard.drop_symbol("BTCUSDT")
    shard.on_event(trade(2), NOW)
    assert [row.id for row in rows(wire_of(shard.take_batch(NOW)), Kind.TRADE)] == [1]
    assert shard.counters.unknown_symbols == 1
    assert not shard.has_symbol("BTCUSDT")
    assert decode_batch(shard.snapshot(NOW)).frames == []


def test_a_symbol_that_comes_back_begins_anew():
    shard = processor()
    shard.on_event(trade(900), NOW)
    shard.drop_symbol("BTCUSDT")
    shard.add_symbol("BTCUSDT", 1)
    shard.on_event(trade(5, 50.0), NOW)
    assert shard.tape("BTCUSDT").holes() == []
    assert rows(wire_of(shard.take_batch(NOW)), Kind.PRICE)[0].price == 50.0


def test_what_overflows_of_a_symbol_that_is_dropped_is_nobodys():
    shard = processor(max_waiting_trades=2)
    for trade_id in range(1, 4):
        shard.on_event(trade(trade_id), NOW)
    shard.drop_symbol("BTCUSDT")
    shard.on_event(trade(1, native="ETHUSDT"), NOW)
    assert shard.take_overflow() == {}
    assert shard.counters.dropped_trades == 2


def test_when_a_venue_numbers_anew_the_low_ids_are_new():
    shard = processor()
    shard.on_event(trade(1_000), NOW)
    shard.begin_anew("BTCUSDT")
    shard.on_event(trade(1, 55.0), NOW)
    batch = wire_of(shard.take_batch(NOW))
    assert [row.id for row in rows(batch, Kind.TRADE)] == [1_000, 1]
    assert rows(batch, Kind.PRICE)[0].price == 55.0


def test_a_quote_without_a_time_counts_from_receipt_and_says_so():
    shard = processor()
    shard.on_event(book(1), NOW + 10)
    (quote,) = rows(wire_of(shard.take_batch(NOW + 25)), Kind.QUOTE)
    assert quote.flags & PriceFlag.RECEIPT_TIME
    assert quote.delay_us == 15


def test_the_taker_side_and_the_number_of_single_trades_are_kept():
    shard = processor()
    shard.on_event(AggTrade("BTCUSDT", 9, 100.0, 2.0, True, NOW, NOW, 20, 24), NOW)
    (row,) = rows(wire_of(shard.take_batch(NOW)), Kind.TRADE)
    assert (row.flags, row.count, row.quantity) == (TradeFlag.TAKER_SOLD, 5, 2.0)


def test_volume_is_the_stated_one_plus_the_trades_later_than_the_statement():
    shard = processor()
    shard.on_event(DayTicker("BTCUSDT", 100.0, 500.0, NOW + 100), NOW)
    shard.on_event(trade(1, at=NOW + 50, quantity=7.0), NOW)  # in the statement already
    shard.on_event(trade(2, at=NOW + 150, quantity=2.0), NOW)
    (price,) = rows(wire_of(shard.take_batch(NOW)), Kind.PRICE)
    assert price.volume == 502.0


def test_a_volume_is_on_the_step_of_the_quantities_however_many_trades_are_in_it():
    shard = PriceProcessor("binance", 3, epoch_us=NOW)
    shard.add_symbol("BTCUSDT", 1, quantity_precision=5)
    shard.on_event(DayTicker("BTCUSDT", 100.0, 31_234.56789, NOW), NOW)
    for number in range(1, 1_001):
        shard.on_event(trade(number, at=NOW + number, quantity=0.00001), NOW)
    assert sum([0.00001] * 1_000, 31_234.56789) != 31_234.57789
    (price,) = rows(decode_batch(shard.snapshot(NOW)), Kind.PRICE)
    assert price.volume == 31_234.57789


def test_a_volume_beyond_what_floats_count_one_by_one_is_left_as_it_is():
    shard = PriceProcessor("binance", 3, epoch_us=NOW)
    shard.add_symbol("BTCUSDT", 1, quantity_precision=8)
    shard.on_event(DayTicker("BTCUSDT", 100.0, 123_456_789_012.3, NOW), NOW)
    (price,) = rows(wire_of(shard.take_batch(NOW)), Kind.PRICE)
    assert price.volume == 123_456_789_012.3


def test_a_ticker_gives_the_price_until_trades_are_heard():
    shard = processor()
    shard.on_event(DayTicker("BTCUSDT", 90.0, 500.0, NOW), NOW)
    assert rows(wire_of(shard.take_batch(NOW)), Kind.PRICE)[0].price == 90.0
    shard.on_event(trade(1, 100.0), NOW)
    wire_of(shard.take_batch(NOW))
    shard.on_event(DayTicker("BTCUSDT", 95.0, 501.0, NOW + 5_000), NOW)
    (price,) = rows(wire_of(shard.take_batch(NOW + 5_100)), Kind.PRICE)
    assert (price.price, price.volume) == (100.0, 501.0)
    assert price.delay_us == 100, "as old as the ticker that stated the volume"


def test_a_raw_trade_moves_the_price_only_forward_in_time():
    shard = processor()
    shard.on_event(trade(1, 100.0, at=NOW + 100), NOW)
    shard.on_event(RawTrade("BTCUSDT", 7, 50.0, 1.0, False, NOW + 50, NOW + 50), NOW)
    shard.on_event(RawTrade("BTCUSDT", 8, 101.0, 1.0, False, NOW + 150, NOW + 150), NOW)
    batch = wire_of(shard.take_batch(NOW))
    assert rows(batch, Kind.PRICE)[0].price == 101.0
    assert len(rows(batch, Kind.TRADE)) == 1  # the raw ones are not the lossless lane


def test_an_event_of_an_unknown_symbol_is_counted():
    shard = processor()
    shard.on_event(trade(1, native="DOGEUSDT"), NOW)
    assert shard.counters.unknown_symbols == 1
    assert shard.take_batch(NOW) == []


def test_a_batch_has_at_most_a_hundred_records_and_nothing_is_left_out():
    shard = processor()
    for trade_id in range(1, 251):
        shard.on_event(trade(trade_id), NOW)
    sizes, ids = [], []
    while messages := shard.take_batch(NOW):
        batch = wire_of(messages)
        sizes.append(sum(len(frame.records) for frame in batch.frames))
        ids += [row.id for row in rows(batch, Kind.TRADE)]
    assert max(sizes) == 100
    assert ids == list(range(1, 251))


def test_when_too_many_trades_wait_the_oldest_go_and_are_counted():
    shard = processor(max_waiting_trades=10)
    for trade_id in range(1, 14):
        shard.on_event(trade(trade_id), NOW)
    batch = wire_of(shard.take_batch(NOW))
    assert [row.id for row in rows(batch, Kind.TRADE)] == list(range(4, 14))
    assert shard.counters.dropped_trades == 3
    assert shard.take_overflow() == {"BTCUSDT": (1, 3)}
    assert shard.take_overflow() == {}


def test_there_is_room_for_thousands_while_less_than_half_waits():
    shard = processor(max_waiting_trades=10)
    for trade_id in range(1, 7):
        assert shard.has_room
        shard.on_event(trade(trade_id), NOW)
    assert not shard.has_room


def test_a_mark_is_passed_when_all_that_came_before_it_is_sent():
    shard = processor(max_batch=2)
    for trade_id in (1, 2, 3):
        shard.on_event(trade(trade_id), NOW)
    mark = shard.mark()
    shard.on_event(trade(4), NOW)
    shard.take_batch(NOW)
    assert not shard.is_past(mark)
    shard.take_batch(NOW)
    assert shard.is_past(mark)


def test_batches_are_numbered_and_heartbeats_count_too():
    shard = processor()
    shard.on_event(trade(1), NOW)
    first = wire_of(shard.take_batch(NOW))
    beat = decode_batch(shard.heartbeat(NOW).payload)
    shard.on_event(trade(2), NOW)
    third = wire_of(shard.take_batch(NOW))
    assert [first.sequence, beat.sequence, third.sequence] == [1, 2, 3]
    assert {first.epoch_us, beat.epoch_us, third.epoch_us} == {NOW}
    assert beat.frames == []


def test_a_batch_says_when_its_oldest_change_was_received():
    shard = processor()
    shard.on_event(trade(1), NOW + 5)
    shard.on_event(trade(2), NOW + 9)
    assert wire_of(shard.take_batch(NOW + 20)).received_us == NOW + 5
    shard.on_event(trade(3), NOW + 30)
    assert wire_of(shard.take_batch(NOW + 40)).received_us == NOW + 30


def test_each_symbol_has_its_own_message_for_services():
    shard = processor()
    shard.on_event(trade(1), NOW)
    shard.on_event(trade(1, 10.0, "ETHUSDT"), NOW)
    shard.on_event(book(1), NOW)
    sent = {message.subject: decode_v2(message.payload) for message in shard.take_batch(NOW)[1:]}
    assert set(sent) == {
        "prices.binance.BTCUSDT",
        "prices.binance.ETHUSDT",
        "quotes.binance.BTCUSDT",
        "trades.binance.BTCUSDT",
        "trades.binance.ETHUSDT",
    }
    assert sent["prices.binance.ETHUSDT"].rows()[0].price == 10.0


def test_a_snapshot_has_every_value_and_takes_nothing_away():
    shard = processor()
    shard.on_event(trade(1, 100.0), NOW)
    shard.on_event(book(1), NOW)
    wire_of(shard.take_batch(NOW))
    shard.on_event(trade(2, 101.0), NOW)
    snapshot = decode_batch(shard.snapshot(NOW + 1))
    assert rows(snapshot, Kind.PRICE)[0].price == 101.0
    assert rows(snapshot, Kind.QUOTE)[0].bid == 99.0
    assert snapshot.sequence == 1
    assert changes_of(rows(wire_of(shard.take_batch(NOW)), Kind.PRICE)[0].flags) == 1


@pytest.mark.parametrize("changes", [254, 255, 300])
def test_the_count_of_changes_saturates(changes: int):
    shard = processor()
    for trade_id in range(1, changes + 1):
        shard.on_event(trade(trade_id), NOW)
    shard.take_batch(NOW)  # trades first: the price comes with the last of them
    flags = 0
    while messages := shard.take_batch(NOW):
        for row in rows(wire_of(messages), Kind.PRICE):
            flags = row.flags
    assert changes_of(flags) == min(changes, 255)


@given(st.lists(st.tuples(st.sampled_from(["BTCUSDT", "ETHUSDT"]), st.floats(0, 1e6)), max_size=300))
def test_the_last_price_of_every_symbol_always_comes_out_last(prices: list[tuple[str, float]]):
    shard = processor()
    for trade_id, (native, price) in enumerate(prices, start=1):
        shard.on_event(trade(trade_id, price, native), NOW)
    seen: dict[int, float] = {}
    changes = 0
    while messages := shard.take_batch(NOW):
        for row in rows(wire_of(messages), Kind.PRICE):
            seen[row.symbol_id] = row.price
            changes += changes_of(row.flags)
    wanted = {1 if native == "BTCUSDT" else 2: price for native, price in prices}
    assert seen == wanted
    if len(prices) <= 200:
        assert changes == len(prices)
