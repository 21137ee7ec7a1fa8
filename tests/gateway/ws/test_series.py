from gateway.ws.candles.series import KEPT, CandleMark, Change, Series, Venue
from protocol.events import SeriesKey
from protocol.symbols import Instrument

INSTRUMENT = Instrument(id=1, symbol="BTCUSDT", venue="v", native="BTCUSDT", price_precision=2)


def series_of(*, heard_us: int = 0) -> Series:
    venue = Venue()
    venue.newest_us = venue.whole_us = heard_us
    return Series(SeriesKey(1, 1), INSTRUMENT, venue)


def bar(series: Series, open_ms: int, state: bytes = b"") -> Change:
    return Change(series, open_ms, state, False, False)


def begun(*versions: int) -> Series:
    """A series that has heard of one bar a version."""
    series = series_of(heard_us=10)
    series.begin(10, [])
    for stamp, version in enumerate(versions, 1):
        series.put(bar(series, version), version, stamp)
        series.venue.newest_us = version
    return series


def opens(changes: list[Change] | None) -> list[int] | None:
    return None if changes is None else [change.open_ms for change in changes]


def test_what_changed_after_a_version_is_what_came_with_a_higher_one():
    series = begun(20, 30, 40)
    assert opens(series.since(20)) == [30, 40]
    assert opens(series.since(40)) == []


def test_before_its_beginning_and_after_what_was_heard_the_recorder_must_be_asked():
    series = begun(20, 30)
    assert opens(series.since(10)) == [20, 30]
    assert series.since(9) is None
    assert series.since(31) is None
    assert series_of(heard_us=50).since(50) is None  # it has not begun


def test_what_came_after_a_mark_is_told_by_its_stamp():
    series = begun(20, 30, 40)
    assert opens(series.after(CandleMark(1, 20))) == [30, 40]
    assert opens(series.after(CandleMark(3, 40))) == []


def test_a_bar_stands_for_all_that_it_was_before():
    series = series_of()
    series.begin(0, [])
    assert series.put(bar(series, 1, b"a"), 10, 1)
    assert series.put(bar(series, 2, b"b"), 20, 2)
    assert series.put(bar(series, 1, b"c"), 30, 3)
    assert [change.packed for change in series.after(CandleMark(0, 0)) or ()] == [b"b", b"c"]


def test_a_bar_that_is_no_other_than_before_has_not_changed():
    series = begun(20)
    assert not series.put(bar(series, 20), 50, 9)
    assert opens(series.after(CandleMark(1, 20))) == []


def test_the_bars_that_changed_longest_ago_go_and_that_is_known():
    versions = range(20, 20 + KEPT + 2)
    series = begun(*versions)
    assert opens(series.since(21)) == list(versions)[2:]
    assert series.since(20) is None
    assert opens(series.after(CandleMark(2, 21))) == list(versions)[2:]
    assert series.after(CandleMark(1, 20)) is None


def test_what_had_changed_before_anybody_watched_is_for_those_who_resume_only():
    series = series_of(heard_us=50)
    series.put(bar(series, 3), 60, 1)
    series.begin(10, [(bar(series, 1), 20), (bar(series, 2), 30), (bar(series, 3), 40)])
    series.venue.newest_us = 60
    assert opens(series.since(20)) == [2, 3]
    assert opens(series.after(CandleMark(0, 50))) == [3]


def test_the_newest_bar_of_the_beginning_is_announced_unless_it_has_changed_since():
    series = series_of(heard_us=50)
    series.begin(10, [(bar(series, 1), 20), (bar(series, 2), 30)])
    newest = series.announce_newest(7)
    assert newest is not None
    assert newest.open_ms == 2
    assert opens(series.after(CandleMark(6, 50))) == [2]
    assert series.announce_newest(8) is None
