"""`SPEC.md` says what the code does: its tables, its examples and its numbers."""

import json
import re
from pathlib import Path

import pytest

from gateway.accounts.notices import format_notice, parse_notice
from gateway.config.settings import Auth
from gateway.ws.access import SOCKETS_A_USER
from gateway.ws.admission import AUTH_TIMEOUT_S
from protocol import control
from protocol.bars import BAR, BarsQuery
from protocol.batches import HEADER
from protocol.candle_stream import (
    PARAMETERS,
    CandleSession,
    format_candle,
    format_resync_done,
    parse_address,
)
from protocol.client_session import RESUMES_A_MESSAGE, SYMBOLS_A_MESSAGE
from protocol.compact import Bases
from protocol.control import format_message, parse_client_message, parse_server_message
from protocol.errors import CloseCode
from protocol.events import (
    MAX_SYMBOL_ID,
    Base,
    Candle,
    CandleFlag,
    Compact,
    GapCause,
    GapState,
    Kind,
    Price,
    PriceUpdate,
)
from protocol.frames import (
    HEADER_V1,
    HEADER_V2,
    LAYOUTS,
    MAX_DIGITS,
    MAX_RECORDS,
    MAX_UNITS,
    V1,
    decode_v1,
    decode_v2,
    encode_v1,
    encode_v2,
)
from protocol.intervals import MINUTES
from protocol.ledger import LedgerEntry
from protocol.session import VERSIONS, Limits
from protocol.symbols import Instrument, SymbolTable

SPEC = (Path(__file__).parents[2] / "protocol" / "SPEC.md").read_text()
CODES = {
    "u1": "u8", "u2": "u16", "u4": "u32", "u8": "u64",
    "i2": "i16", "V3": "i24", "i4": "i32", "i8": "i64", "f8": "f64",
}  # fmt: skip


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", SPEC, re.MULTILINE | re.DOTALL)


def table_rows(first_cell):
    """The cells of the table rows whose first cell matches."""
    lines = [line for line in SPEC.splitlines() if re.match(rf"\| {first_cell} \|", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def worked_example(language):
    [block] = blocks(language)
    return bytes.fromhex(
        "".join(re.match(r"((?:[0-9a-f]{2} )+)", f"{line} ")[1] for line in block.splitlines())
    )


def test_the_worked_example_of_v1():
    frame = worked_example("hex v1")
    assert frame == encode_v1([PriceUpdate(7, 1.5, 2.0)])
    assert decode_v1(frame).tolist() == [(7, 1.5, 2.0)]
    assert f"crc32 = {int.from_bytes(frame[:4], 'little'):#010x}" in SPEC


def test_the_worked_example_of_v2():
    frame = worked_example("hex v2")
    assert frame == encode_v2([Price(7, 0x0100, 1_500, 1.5, 2.0)], 1_790_000_000_123_456)
    assert decode_v2(frame).rows() == [Price(7, 0x0100, 1_500, 1.5, 2.0)]
    assert f"crc32 = {int.from_bytes(frame[:4], 'little'):#010x}" in SPEC


def test_the_worked_example_of_compact_prices():
    base, compact = worked_example("hex base"), worked_example("hex compact")
    assert base == encode_v2([Base(7, 2, 5, 0, 6_425_000, 123_456_789)], 1_790_000_000_123_456)
    assert compact == encode_v2([Compact(7, -5, 11)], 1_790_000_000_123_456)
    bases = Bases()
    bases.update(decode_v2(base).records)
    assert bases.prices(decode_v2(compact).records).tolist() == [(7, 64_249.95, 1_234.568)]
    for frame in (base, compact):
        assert f"crc32 = {int.from_bytes(frame[:4], 'little'):#010x}" in SPEC


def test_what_a_reader_refuses_of_compact_prices():
    assert f"a BASE with more than {MAX_DIGITS} digits" in SPEC
    assert MAX_UNITS == 2**53


@pytest.mark.parametrize("kind", Kind)
def test_the_table_of_records_is_the_layout(kind):
    layout = LAYOUTS[kind]
    [(_, _, size, fields)] = table_rows(rf"{int(kind)} \| {kind.name}")
    assert int(size) == layout.dtype.itemsize
    assert fields == ", ".join(
        f"{CODES[layout.dtype[field].str[1:]]} `{field}`" for field in layout.row._fields
    )


def test_sizes_of_headers_and_v1_records():
    assert f"**v1**, {HEADER_V1.size} + {V1.struct.size} × count bytes" in SPEC
    assert f"**v2**, {HEADER_V2.size} + size × count bytes" in SPEC
    assert f"a header of {HEADER.size} bytes" in SPEC


def test_the_examples_of_messages_are_messages_and_cover_every_type():
    examples = {"client": [], "server": []}
    for end, parse in (("client", parse_client_message), ("server", parse_server_message)):
        for text in blocks(f"json {end}"):
            message = parse(text)
            assert json.loads(format_message(message)) == json.loads(text)
            examples[end].append(type(message))
    assert set(examples["client"]) == set(control.ClientMessage.__args__)
    assert set(examples["server"]) == set(control.ServerMessage.__args__)


@pytest.mark.parametrize("code", CloseCode)
def test_every_close_code_says_whether_to_come_back(code):
    [(_, _, reconnect)] = table_rows(str(int(code)))
    assert reconnect == ("yes" if code.may_reconnect else "no")


def test_every_error_code_is_described():
    root = Path(__file__).parents[2]
    sources = [*(root / "protocol").glob("*.py"), *(root / "gateway" / "ws").rglob("*.py")]
    codes = {
        code
        for one in sources
        for code in re.findall(r'(?:format_error|Error)\(\s*"([a-z_]+)"', one.read_text())
    }
    described = {cells[0].strip("`") for cells in table_rows("`[a-z_]+`") if len(cells) == 3}
    described |= {"no_symbols"}  # of the JSON candle stream
    assert codes - described == set()
    assert len(codes) == 13


def test_subprotocols_and_kinds():
    for subprotocol in VERSIONS:
        assert f"`{subprotocol}`" in SPEC
    for kind in control.KINDS_OF_VERSION[2]:
        assert f'`"{kind}"`' in SPEC or f'`["{kind}"]`' in SPEC


def test_limits():
    limits = Limits()
    assert table_rows("records a frame")[0][1] == f"{MAX_RECORDS:,}"
    assert table_rows("symbol ids")[0][1] == f"{MAX_SYMBOL_ID:,}"
    assert table_rows("symbols a client watches")[0][1] == f"{limits.symbols:,}"
    rate = f"{limits.messages_per_second:g} a second, {limits.message_burst} at once"
    assert table_rows("text messages, pings and pongs from a client")[0][1] == rate
    assert table_rows("time to say who you are, where one has to")[0][1] == f"{AUTH_TIMEOUT_S:g} s"
    assert f"within {AUTH_TIMEOUT_S:g} seconds" in SPEC
    assert table_rows("symbols on a market watch")[0][1] == f"{Auth().max_watched}"
    assert table_rows("connections of a user to one gateway")[0][1] == f"{SOCKETS_A_USER:,}"
    assert f"about {SYMBOLS_A_MESSAGE:,} symbols a message, {RESUMES_A_MESSAGE} with `since`" in SPEC


@pytest.mark.parametrize("meaning", [*GapState, *GapCause], ids=lambda meaning: meaning.name)
def test_every_state_and_cause_of_a_gap_is_described(meaning):
    [_] = table_rows(rf"{int(meaning)} \| {meaning.name}")


def test_every_field_of_the_ledger_is_named():
    paragraph = SPEC[SPEC.index("An entry of the **gap ledger**") :]
    assert set(LedgerEntry.__struct_fields__) <= set(re.findall(r"`(\w+)`", paragraph))


def test_intervals():
    assert dict(re.findall(r"`(\d+\w)` (\d+)", SPEC)) == {
        name: str(number) for name, number in MINUTES.items()
    }


def test_the_examples_of_the_candle_stream_are_what_it_sends():
    welcome, candle, resync = [json.loads(text) for text in blocks("json stream")]
    row = Candle(
        7, 1, CandleFlag.FINAL, 0, 1_790_000_000_000, 64000.5, 64010.0, 63990.25, 64001.0, 12.5, 3, 0, 1.0
    )
    assert json.loads(format_candle("BTCUSDT", row)) == candle
    assert json.loads(format_resync_done(1, ["BTCUSDT"])) == resync
    symbols = SymbolTable()
    symbols.add(Instrument(id=7, symbol="BTCUSDT", venue="binance", native="BTCUSDT", price_precision=2))
    wish = parse_address("symbols=btcusdt&intervals=1m,5m&partials=1")
    greeting, reaction = CandleSession(symbols, Limits()).welcome(wish)
    assert json.loads(greeting) == welcome
    assert reaction.replies == []


def test_the_parameters_of_the_candle_stream_are_those_of_its_address():
    section = SPEC[SPEC.index("## The JSON candle stream") : SPEC.index("## Limits")]
    assert tuple(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == PARAMETERS


def test_the_notices_about_accounts_are_what_gateways_send():
    for text in blocks("json accounts"):
        assert json.loads(format_notice(parse_notice(text.encode()))) == json.loads(text)


def test_the_bars_of_the_bus_are_described_as_they_lie():
    paragraph = SPEC[SPEC.index("**`request.bars`** takes JSON") :].partition("\n\n")[0]
    names = re.findall(r"`(\w+)`", paragraph.partition("bars of 80 bytes")[2])
    assert tuple(names) == BAR.names
    assert BAR.itemsize == 80
    assert set(BarsQuery.__struct_fields__) <= set(re.findall(r"`(\w+)`", paragraph))
