import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import subjects
from protocol.errors import BadSubject

TEXTS = st.text(min_size=1, max_size=20)
TRICKY = st.text(".*>% \t\r\n\0\x7f%2EaBé币\u3000\u0085", min_size=1, max_size=8)
NAMES = TEXTS | TRICKY
SHARDS = st.integers(0, 99_999)
SYMBOL_LANES = {
    "prices": subjects.prices,
    "quotes": subjects.quotes,
    "trades": subjects.trades,
    "symbols": subjects.symbols,
}


def is_safe_for_nats(subject):
    """What a server and its clients demand of a subject to publish on."""
    tokens = subject.split(".")
    return all(tokens) and not any(mark in subject for mark in " \t\r\n\0*>") and subject.encode()


@given(st.sampled_from(list(SYMBOL_LANES)), NAMES, NAMES)
def test_any_symbol_of_any_venue_reads_back(lane, venue, native):
    subject = SYMBOL_LANES[lane](venue, native)
    assert is_safe_for_nats(subject)
    assert subject.count(".") == 2
    assert subjects.parse_symbol_subject(subject) == (lane, venue, native)


@given(NAMES, SHARDS)
def test_any_shard_of_any_venue_reads_back(venue, shard):
    subject = subjects.wire(venue, shard)
    assert is_safe_for_nats(subject)
    assert subjects.parse_wire(subject) == (venue, shard)
    assert is_safe_for_nats(subjects.request_snapshot(venue, shard))
    assert is_safe_for_nats(subjects.request_feed(venue, shard))
    assert is_safe_for_nats(subjects.feed_state(venue, shard))


@given(NAMES)
def test_the_states_of_any_venue_read_back(venue):
    subject = subjects.symbol_states(venue)
    assert is_safe_for_nats(subject)
    assert subjects.parse_symbol_states(subject) == venue


@given(NAMES, NAMES)
def test_any_price_request_reads_back(venue, native):
    subject = subjects.request_price(venue, native)
    assert is_safe_for_nats(subject)
    assert subjects.parse_request_price(subject) == (venue, native)


@given(st.lists(NAMES, min_size=2, max_size=2, unique=True))
def test_two_texts_never_share_a_spelling(pair):
    assert subjects.token(pair[0]) != subjects.token(pair[1])


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("BTCUSDT", "BTCUSDT"),
        ("BTCUSD_PERP", "BTCUSD_PERP"),
        ("kPEPE", "kPEPE"),
        ("BTC-USDT-SWAP", "BTC-USDT-SWAP"),
        ("dex:NAME", "dex:NAME"),
        ("1000SATS.P", "1000SATS%2EP"),
        ("币安人生USDT", "币安人生USDT"),
        ("a b*c>d%e", "a%20b%2Ac%3Ed%25e"),
        ("%2E", "%252E"),
        ("\x7f\t", "%7F%09"),
    ],
)
def test_spellings(text, spelled):
    assert subjects.token(text) == spelled


def test_the_subjects_of_a_symbol():
    assert subjects.wire("binance", 3) == "wire.binance.3"
    assert subjects.prices("binance", "BTCUSDT") == "prices.binance.BTCUSDT"
    assert subjects.quotes("binance-usdm", "BTCUSDT") == "quotes.binance-usdm.BTCUSDT"
    assert subjects.trades("binance-coinm", "BTCUSD_PERP") == "trades.binance-coinm.BTCUSD_PERP"
    assert subjects.symbols("binance", "BTCUSDT") == "symbols.binance.BTCUSDT"
    assert subjects.request_price("binance", "BTCUSDT") == "request.price.binance.BTCUSDT"
    assert subjects.request_snapshot("binance", 3) == "request.snapshot.binance.3"
    assert subjects.request_feed("binance", 3) == "request.feed.binance.3"


@pytest.mark.parametrize("text", ["", "\ud800", "BTC\udfffUSDT"])
def test_what_has_no_utf8_has_no_spelling(text):
    with pytest.raises(BadSubject):
        subjects.token(text)


@given(st.text(st.characters(), max_size=20))
def test_a_text_has_a_spelling_that_reads_back_or_none(text):
    with contextlib.suppress(BadSubject):
        assert subjects.parse_symbol_subject(subjects.prices(text, text)) == ("prices", text, text)


PARSERS = (subjects.parse_wire, subjects.parse_symbol_subject, subjects.parse_request_price)
NOISE = st.lists(
    st.sampled_from(["wire", "prices", "request", "price", "", "0", "%", "%2E", "%2e", "%FF", "\ud800", "A"])
    | st.text(st.characters(), max_size=5),
    max_size=5,
).map(".".join)


@given(NOISE)
def test_garbage_raises_only_bad_subject_and_what_is_read_was_built_here(subject):
    with contextlib.suppress(BadSubject):
        assert subjects.wire(*subjects.parse_wire(subject)) == subject
    with contextlib.suppress(BadSubject):
        lane, venue, native = subjects.parse_symbol_subject(subject)
        assert SYMBOL_LANES[lane](venue, native) == subject
    with contextlib.suppress(BadSubject):
        assert subjects.request_price(*subjects.parse_request_price(subject)) == subject


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "wire",
        "wire.binance",
        "wire..1",
        "wire.binance.",
        "wire.binance.x",
        "wire.binance.-1",
        "wire.binance.01",
        "wire.binance.1.2",
        "wire.binance.٣",
        "wire.binance." + "9" * 5_000,
        "wire.bi%6Eance.1",
        "prices.binance",
        "prices.binance.",
        "prices..BTCUSDT",
        "prices.binance.BTC%2eUSDT",
        "prices.binance.BTC%USDT",
        "prices.binance.%FF",
        "prices.binance.\ud800",
        "prices.binance.A B",
        "prices.*.>",
        "candles.binance.BTCUSDT",
        "request.price.binance",
        "request.price..BTCUSDT",
        "request.price.binance.BTCUSDT.1",
        "request.prices.binance.BTCUSDT",
    ],
    ids=lambda subject: ascii(subject[:40]),
)
def test_what_was_not_built_here_is_refused_and_named(subject):
    for parse in PARSERS:
        with pytest.raises(BadSubject) as caught:
            parse(subject)
        assert caught.value.subject == subject


@given(NAMES, NAMES, st.sampled_from(["1m", "1M"]))
def test_bars_and_candles_of_an_interval_are_safe_and_told_apart(venue, native, interval):
    made = {
        subjects.bars(venue, native, interval),
        subjects.candles(venue, native, interval),
        subjects.enigma(venue, native),
        subjects.recorded(venue),
    }
    assert len(made) == 4
    assert all(is_safe_for_nats(subject) for subject in made)
