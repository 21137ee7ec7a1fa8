"""What the ingest benchmark stands on: that no trade is lost unseen."""

import json
import random

import pytest

from bench.ingest.blocks import Block, Listed
from bench.ingest.contest import Params
from bench.ingest.source import Tape
from bench.ingest.worker import Listener
from gateway.exchanges.venue import VENUES
from protocol.batches import encode_batch
from protocol.events import Trade
from protocol.frames import encode_v2
from protocol.market import AggTrade

LISTED = [
    Listed("BTCUSDT", 67_123.45, 2, 5),
    Listed("ETHUSDT", 2_650.12, 2, 4),
    Listed("DOGEUSDT", 0.1, 5, 0),
]
AT_US = 1_763_769_600_123_456


def test_a_contender_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="no contender is called nobody"):
        Params(contenders=("tickgate", "nobody"))


@pytest.mark.parametrize(("micro", "sent_us"), [(True, AT_US), (False, AT_US // 1_000 * 1_000)])
def test_a_block_says_what_the_exchange_says(micro, sent_us):
    block = Block(LISTED, 4, micro, random.Random(1))
    trades = trades_in(block.fill(0, AT_US)) + trades_in(block.fill(4, AT_US + 1_000_000))
    for one in LISTED:
        own = [trade for trade in trades if trade.native == one.native]
        assert [trade.id for trade in own] == list(range(3_000_000_000, 3_000_000_008))
        assert [trade.traded_us for trade in own] == [sent_us] * 4 + [sent_us + 1_000_000] * 4
        assert all(trade.price == pytest.approx(one.price, rel=0.01) for trade in own)
        assert all(trade.quantity > 0 for trade in own)


def test_blocks_rounds_and_single_messages_follow_each_other_without_a_step_left_out():
    tape = Tape(LISTED, micro=True, seed=1)
    singles = [tape.single() for _ in range(4)]  # one round and the beginning of another
    sent = b"".join(
        [*singles, tape.rest(), tape.rest(), tape.round(), tape.block(), tape.single(), tape.rest()]
    )
    trades = trades_in(sent)
    assert tape.totals() == (len(trades), len(sent))
    for one in LISTED:
        ids = [trade.id for trade in trades if trade.native == one.native]
        assert ids == list(range(ids[0], ids[0] + len(trades) // len(LISTED)))


@pytest.mark.parametrize(
    ("batches", "wrong"),
    [
        ([[5, 6], [7]], ""),
        ([[5, 6], [8]], "of symbol 1, 8 came after 6"),
        ([[5, 7, 8]], "of symbol 1, 7 came after 5"),
        ([[5, 6], [6, 7]], "of symbol 1, 6 came after 6"),
        ([[5, 7, 6, 8]], "of symbol 1, 7 came after 5"),
    ],
    ids=["in order", "missing", "missing within", "doubled", "swapped"],
)
def test_a_trade_that_is_not_where_it_belongs_is_seen(batches, wrong):
    listener = Listener()
    for number, ids in enumerate(batches, 1):
        rows = [Trade(1, 0, 1, one, AT_US, 1.0, 1.0) for one in ids]
        listener.on_batch("wire", encode_batch(AT_US, number, AT_US, [encode_v2(rows, AT_US)]))
        listener.look()
    assert listener.trades == sum(map(len, batches))
    assert listener.wrong == wrong


def trades_in(frames: bytes) -> list[AggTrade]:
    """Read WebSocket frames as a feed worker does."""
    trades = []
    while frames:
        size = int.from_bytes(frames[2:4], "big")
        text, frames = frames[4 : 4 + size], frames[4 + size :]
        assert json.loads(text)["stream"] == f"{json.loads(text)['data']['s'].lower()}@aggTrade"
        trade = VENUES["binance"].dialect.parse(text)
        assert isinstance(trade, AggTrade)
        trades.append(trade)
    return trades
