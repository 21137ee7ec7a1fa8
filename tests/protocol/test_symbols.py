import msgspec
import pytest

from protocol.errors import BadValue, UnknownSymbol
from protocol.symbols import Instrument, SymbolState, SymbolTable, shard_of, state_of, with_state


def instrument(symbol_id, symbol, venue="binance", native=None, exchange="BINANCE"):
    return Instrument(
        id=symbol_id,
        symbol=symbol,
        venue=venue,
        native=native or symbol,
        exchange=exchange,
        price_precision=2,
    )


SPOT = instrument(7, "BTCUSDT")
PERPETUAL = instrument(8, "BTCUSDT.P", "binance-usdm", "BTCUSDT")
COIN = instrument(9, "BTCUSD.P", "binance-coinm", "BTCUSD_PERP")
CHINESE = instrument(10, "币安人生USDT")
KILO = instrument(65_535, "kPEPE", "hyperliquid", exchange="HYPERLIQUID")


@pytest.fixture
def table():
    table = SymbolTable()
    for one in (SPOT, PERPETUAL, COIN, CHINESE, KILO):
        table.add(one)
    return table


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("BTCUSDT", SPOT),
        ("BINANCE:BTCUSDT", SPOT),
        ("binance:btcusdt", SPOT),
        ("  BtcUsdt\n", SPOT),
        ("BTCUSDT.P", PERPETUAL),
        ("BINANCE:BTCUSDT.P", PERPETUAL),
        ("BTCUSD.P", COIN),
        ("币安人生USDT", CHINESE),
        ("币安人生usdt", CHINESE),
        ("HYPERLIQUID:kPEPE", KILO),
        ("hyperliquid:kpepe", KILO),
    ],
)
def test_names_as_users_write_them(table, name, found):
    assert table.find(name) is found


@pytest.mark.parametrize(
    "name", ["", " ", ":", "BTC", "BTCUSD_PERP", "KRAKEN:BTCUSDT", "BINANCE:", ":BTCUSDT", "kPEPE", "\ud800"]
)
def test_what_no_venue_lists_is_unknown_and_named_as_it_was_written(table, name):
    with pytest.raises(UnknownSymbol) as caught:
        table.find(name)
    assert caught.value.symbol == name


def test_an_instrument_is_found_by_id_and_by_the_venues_spelling(table):
    assert table.by_id(8) is PERPETUAL
    assert table.by_id(11) is None
    assert table.by_native("binance", "BTCUSDT") is SPOT
    assert table.by_native("binance-usdm", "BTCUSDT") is PERPETUAL
    assert table.by_native("binance-usdm", "btcusdt") is None
    assert len(table) == 5
    assert list(table) == [SPOT, PERPETUAL, COIN, CHINESE, KILO]


@pytest.mark.parametrize("symbol_id", [-1, 0, 65_536])
def test_an_id_out_of_range_is_refused(symbol_id):
    with pytest.raises(BadValue, match="symbol id"):
        SymbolTable().add(instrument(symbol_id, "BTCUSDT"))


def test_the_same_id_again_replaces_what_was_known_of_it(table):
    renamed = instrument(7, "XBTUSDT")
    table.add(renamed)
    assert table.by_id(7) is table.find("XBTUSDT") is table.by_native("binance", "XBTUSDT") is renamed
    assert table.by_native("binance", "BTCUSDT") is None
    assert len(table) == 5
    with pytest.raises(UnknownSymbol):
        table.find("BTCUSDT")


def test_a_name_that_passed_to_another_id_stays_with_it(table):
    relisted = instrument(11, "BTCUSDT")
    table.add(relisted)
    table.add(instrument(7, "XBTUSDT"))
    assert table.find("BTCUSDT") is table.by_native("binance", "BTCUSDT") is relisted


def test_a_state_changes_what_may_change_and_nothing_else():
    other = msgspec.structs.replace(
        KILO, is_active=False, ended_ms=5, price_precision=7, tick_size="0.0000001"
    )
    assert with_state(SPOT, state_of(other)) == msgspec.structs.replace(
        SPOT, is_active=False, ended_ms=5, price_precision=7, tick_size="0.0000001"
    )
    assert with_state(SPOT, state_of(SPOT)) == SPOT


def test_a_state_may_have_fields_that_this_program_does_not_know():
    written = msgspec.json.encode([*msgspec.structs.astuple(state_of(SPOT)), "of a later program"])
    assert msgspec.json.decode(written, type=SymbolState) == state_of(SPOT)


@pytest.mark.parametrize(
    ("venue", "native", "shards", "shard"),
    [
        ("binance", "BTCUSDT", 1, 0),
        ("binance", "BTCUSDT", 4, 3),
        ("binance", "ETHUSDT", 4, 0),
        ("binance-usdm", "BTCUSDT", 4, 3),
        ("binance", "币安人生USDT", 4, 2),
        ("binance", "BTCUSDT", 65_536, 34_011),
    ],
)
def test_a_symbol_stays_in_its_shard_for_good(venue, native, shards, shard):
    assert shard_of(venue, native, shards) == shard


def test_symbols_spread_over_the_shards():
    counts = [0] * 4
    for number in range(1_000):
        counts[shard_of("binance", f"COIN{number}USDT", 4)] += 1
    assert min(counts) > 200
