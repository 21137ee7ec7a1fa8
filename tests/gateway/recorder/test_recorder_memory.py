"""What is in memory, over what the store holds."""

from gateway.recorder.memory import MAX_RUNNING, Memory, as_bars, merged
from gateway.store.history import Change
from processors.bars.bar_row import BarRow
from protocol.bars import Series, no_bars
from protocol.events import CandleFlag

SERIES = Series("binance", "BTCUSDT", 1)
ETH = Series("binance", "ETHUSDT", 1)


def bar(minute: int, version: int, close: float = 1.0, flags: int = CandleFlag.FINAL) -> BarRow:
    return BarRow(minute * 60_000, version, 1.0, 2.0, 0.5, close, 3.0, 4.0, 1.0, 7, 0, flags)


def running(minute: int, version: int) -> BarRow:
    return bar(minute, version, flags=0)


def test_a_final_bar_waits_for_the_store_and_a_running_one_does_not():
    memory = Memory()
    memory.put(SERIES, running(1, 10))
    assert (memory.waiting, memory.changes(10)) == (0, [])
    memory.put(SERIES, bar(1, 11))
    assert memory.waiting == 1
    assert memory.rows(SERIES) == {60_000: bar(1, 11)}


def test_what_is_written_leaves_unless_it_has_changed_meanwhile():
    memory = Memory()
    memory.put(SERIES, bar(1, 10))
    memory.put(SERIES, bar(2, 10))
    changes = memory.changes(10)
    memory.put(SERIES, bar(2, 11))
    memory.written(changes)
    assert memory.rows(SERIES) == {120_000: bar(2, 11)}
    assert memory.waiting == 1


def test_several_changes_of_a_bar_are_written_as_one():
    memory = Memory()
    for version in range(5):
        memory.put(SERIES, bar(1, version))
    [change] = memory.changes(10)
    assert change.bars["version"].tolist() == [4]


def test_no_more_is_taken_than_was_asked_for():
    memory = Memory()
    for minute in range(5):
        memory.put(SERIES, bar(minute, 1))
        memory.put(ETH, bar(minute, 1))
    taken = memory.changes(7)
    assert [len(change.bars) for change in taken] == [5, 2]


def test_who_reads_the_store_does_not_miss_what_is_written_meanwhile():
    memory = Memory()
    memory.put(SERIES, bar(1, 10))
    with memory.reading(SERIES) as left:
        kept = no_bars()  # the read began before the write
        memory.written(memory.changes(10))
        bars = merged(kept, left, memory.rows(SERIES))
    assert bars["version"].tolist() == [10]
    assert not memory.rows(SERIES)


def test_of_two_bars_the_one_with_the_higher_version_holds_wherever_it_is():
    kept = as_bars([bar(1, 5, close=1.0), bar(2, 20, close=1.5)])
    bars = merged(kept, {60_000: bar(1, 9, close=2.0), 120_000: bar(2, 9, close=9.0)})
    assert bars["close"].tolist() == [2.0, 1.5]


def test_a_full_memory_drops_what_waits_longest_and_counts_it():
    memory = Memory(max_waiting=3)
    for minute in range(5):
        memory.put(SERIES, bar(minute, 1))
    assert (memory.waiting, memory.dropped) == (3, 2)
    assert list(memory.rows(SERIES)) == [120_000, 180_000, 240_000]


def test_running_bars_are_few():
    memory = Memory()
    for minute in range(10):
        memory.put(SERIES, running(minute, 1))
    assert len(memory.rows(SERIES)) == MAX_RUNNING
    assert memory.first_running(SERIES) == (10 - MAX_RUNNING) * 60_000
    assert memory.first_running(ETH) is None


def test_writing_something_else_does_no_harm():
    memory = Memory()
    memory.written([Change(SERIES, as_bars([bar(1, 1)]))])
    assert memory.waiting == 0
