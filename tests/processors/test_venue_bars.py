"""What the price processor does with the venue's own bars."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from processors.price import MAX_WAITING_BARS, PriceProcessor
from protocol import subjects
from protocol.batches import decode_batch
from protocol.errors import BadMessage
from protocol.events import Kind
from protocol.market import AggTrade, Bar, format_bar, parse_bar

NOW = 1_700_000_000_000_000
RUNNING = Bar("BTCUSDT", 1, 60_000, 1.0, 3.0, 0.5, 2.0, 10.0, 20.0, 4.0, 8.0, 7, 100, 106, False, NOW)
FINAL = RUNNING._replace(final=True)


def processor() -> PriceProcessor:
    made = PriceProcessor("binance", 0, epoch_us=NOW)
    made.add_symbol("BTCUSDT", 1)
    return made


def test_a_final_bar_goes_out_as_it_is_and_needs_no_batch():
    shard = processor()
    shard.on_event(FINAL, NOW)
    [message] = shard.take_batch(NOW)
    assert message.subject == subjects.bars("binance", "BTCUSDT", "1m") == "bars.binance.BTCUSDT.1m"
    assert parse_bar(message.payload) == FINAL
    assert (shard.waiting, shard.oldest_us, shard.take_batch(NOW)) == (0, 0, [])


def test_a_running_bar_gives_a_price_until_trades_are_heard():
    shard = processor()
    shard.on_event(RUNNING, NOW)
    [wire, _] = shard.take_batch(NOW)
    assert decode_batch(wire.payload).frames[0].rows()[0].price == 2.0
    shard.on_event(AggTrade("BTCUSDT", 1, 5.0, 1.0, False, NOW, NOW, 1, 1), NOW)
    shard.on_event(RUNNING, NOW)
    frames = decode_batch(shard.take_batch(NOW)[0].payload).frames
    assert [row.price for frame in frames if frame.kind is Kind.PRICE for row in frame.rows()] == [5.0]
    assert shard.take_batch(NOW) == []


def test_bars_go_behind_the_prices_of_a_batch():
    shard = processor()
    shard.on_event(FINAL, NOW)
    shard.on_event(AggTrade("BTCUSDT", 1, 5.0, 1.0, False, NOW, NOW, 1, 1), NOW)
    sent = [message.subject.partition(".")[0] for message in shard.take_batch(NOW)]
    assert sent == ["wire", "prices", "trades", "bars"]


def test_when_too_many_wait_the_oldest_go():
    shard = processor()
    for minute in range(MAX_WAITING_BARS + 2):
        shard.on_event(FINAL._replace(open_ms=minute * 60_000), NOW)
    waiting = [parse_bar(message.payload).open_ms // 60_000 for message in shard.take_batch(NOW)]
    assert waiting == list(range(2, MAX_WAITING_BARS + 2))


@given(st.binary(max_size=60))
def test_a_garbled_bar_raises_nothing_but_bad_message(garbage):
    for text in (garbage, format_bar(FINAL)[:-1] + garbage):
        with contextlib.suppress(BadMessage):
            parse_bar(text)
