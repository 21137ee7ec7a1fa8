"""The sources of streams along a clock that the test turns."""

import json
from functools import cache
from itertools import pairwise
from typing import Any

import pytest

from gateway.sim.faults import Fault, FaultKind, Faults
from gateway.sim.market.bars import History
from gateway.sim.market.symbols import Board
from gateway.sim.market.trades import MINUTE_US, Market, MarketOptions
from gateway.sim.streams.listeners import Delivery, Manner, Stream
from gateway.sim.streams.rhythms import Kline, MiniTicker
from gateway.sim.streams.tapes import QuoteTape, Source, Stage, TradeTape

GENESIS_MINUTE = 29_412_345
START_US = (GENESIS_MINUTE + 3) * MINUTE_US + 30_000_000
MARKET = Market(MarketOptions(seed=7, rate=5.0, genesis_ms=GENESIS_MINUTE * 60_000, symbols=1))
ONE = MARKET.on_board(Board.SPOT)[0]


class Pad:
    """A listener that writes down what it hears."""

    def __init__(self) -> None:
        self.serial = 1
        self.manner = Manner(False, 1)
        self.pending: list[bytes] = []
        self.held: dict[str, bytes] = {}

    def delay(self, frame: bytes, due_us: int) -> None:  # noqa: ARG002  # a listener's signature
        raise AssertionError("nothing is slow here")

    def flush(self, now_us: int) -> None:  # noqa: ARG002  # a listener's signature
        self.pending.clear()

    def heard(self) -> list[Any]:
        return [json.loads(frame[frame.index(b"{") :]) for frame in self.pending]


@pytest.fixture(name="stage")
def stage_fixture() -> Stage:
    faults = Faults(1)
    return Stage(MARKET, cache(lambda one: History(MARKET, one)), faults, Delivery(faults))


def play(source: Source, pad: Pad, kind: str, seconds: int) -> list[Any]:
    """Let a source run whenever it is due, and hear what it says."""
    name = f"{ONE.symbol.lower()}@{kind}"
    source.streams[name] = Stream(Board.SPOT, name, kind, ONE.symbol)
    source.streams[name].join(pad)
    source.start(START_US)
    while source.due_us < START_US + seconds * 1_000_000:
        source.run(source.due_us)
    return pad.heard()


def test_a_tape_plays_every_trade_at_its_moment_over_a_minutes_border(stage):
    heard = play(TradeTape(stage, ONE), Pad(), "aggTrade", 60)
    assert [message["a"] for message in heard] == list(range(heard[0]["a"], heard[0]["a"] + 300))
    assert all(message["E"] == message["T"] for message in heard)


def test_a_tape_plays_every_quote(stage):
    heard = play(QuoteTape(stage, ONE), Pad(), "bookTicker", 60)
    expected = [MARKET.quotes(ONE, minute) for minute in (GENESIS_MINUTE + 3, GENESIS_MINUTE + 4)]
    known = [number for quotes in expected for number in quotes.update_id.tolist()]
    updates = [message["u"] for message in heard]
    first = known.index(updates[0])
    assert updates == known[first : first + len(updates)]
    assert len(updates) == 300


def test_a_bar_is_final_once_right_after_its_end_and_equals_its_trades(stage):
    heard = play(Kline(stage, ONE, "1m"), Pad(), "kline_1m", 60)
    final = [message for message in heard if message["k"]["x"]]
    assert len(final) == 1
    end_us = (GENESIS_MINUTE + 4) * MINUTE_US
    assert 0 < final[0]["E"] - end_us < 100_000
    (bar,) = History(MARKET, ONE).bars("1m", GENESIS_MINUTE + 3, 1, end_us)
    assert final[0]["k"]["T"] == end_us - 1
    assert final[0]["k"]["v"] == ONE.quantity_text(bar.volume)
    assert [message["k"]["t"] for message in heard] == sorted(message["k"]["t"] for message in heard)


def test_a_mini_ticker_comes_once_a_second_with_the_days_sums(stage):
    heard = play(MiniTicker(stage, ONE), Pad(), "miniTicker", 10)
    assert len(heard) == 10
    assert {after["E"] - before["E"] for before, after in pairwise(heard)} == {1_000_000}
    day = History(MARKET, ONE).day(heard[-1]["E"])
    assert heard[-1]["q"] == ONE.turnover_text(day.turnover)


def test_a_halted_tape_waits_and_then_says_everything(stage):
    tape, pad = TradeTape(stage, ONE), Pad()
    play(tape, pad, "aggTrade", 5)
    stage.faults.add(Fault(FaultKind.HALT, symbols=(ONE.symbol,)), START_US + 5_000_000)
    before = len(pad.pending)
    tape.run(START_US + 30_000_000)
    assert len(pad.pending) == before
    stage.faults.clear()
    tape.run(START_US + 31_000_000)
    numbers = [message["a"] for message in pad.heard()]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(numbers) >= 150
