import numpy as np

from gateway.ws.candles.board import CandleBoard
from gateway.ws.candles.series import CandleMark
from protocol.bars import BAR, Bars
from protocol.events import Candle, CandleFlag, Kind, SeriesKey
from protocol.frames import Frame, decode_v2, encode_v2
from protocol.symbols import Instrument

SUBJECT = "recorded.v"
KEY = SeriesKey(1, 1)


def instrument(symbol_id: int = 1, venue: str = "v") -> Instrument:
    name = f"COIN{symbol_id}USDT"
    return Instrument(id=symbol_id, symbol=name, venue=venue, native=name, price_precision=2)


def candle(
    open_ms: int, close: float = 1.0, *, key: SeriesKey = KEY, flags: int = 0, revision: int = 0
) -> Candle:
    return Candle(*key, flags, revision, open_ms, 1.0, 9.0, 0.5, close, 2.0, 3, 0, 1.0)


def frame(version: int, *rows: Candle) -> Frame:
    return decode_v2(encode_v2(list(rows), version, Kind.CANDLE))


def bars(*rows: tuple[int, int, float]) -> Bars:
    """Openings, versions and closes."""
    return np.array(
        [
            (open_ms, version, 1.0, 9.0, 0.5, close, 2.0, 0.0, 1.0, 3, 0, 0)
            for open_ms, version, close in rows
        ],
        BAR,
    )


def opened(*, heard_us: int = 100) -> CandleBoard:
    """A board that has heard up to a version, with a series that has begun."""
    board = CandleBoard()
    board.on_frame(SUBJECT, frame(heard_us))
    series = board.open(KEY, instrument())
    board.on_answer(board.ask(series, None, 50), heard_us, bars())
    assert taken(board) == []
    return board


def taken(board: CandleBoard) -> list[tuple[int, float]]:
    """Deliver everything; return openings and closes."""
    changes = [change for one in board.take().values() for change in one]
    board.on_flushed()
    rows = np.frombuffer(b"".join(change.packed for change in changes), frame(0).records.dtype)
    return list(zip(rows["open_ms"].tolist(), rows["close"].tolist(), strict=True))


def whole_us(board: CandleBoard) -> int:
    return board.whole_us(board.venues_of([KEY]))


def test_records_of_what_nobody_watches_are_dropped():
    board = opened()
    others = [SeriesKey(1, 5), SeriesKey(2, 1), SeriesKey(1, 7)]  # 7 minutes are no interval
    board.on_frame(SUBJECT, frame(110, *[candle(1, key=key) for key in others], candle(1, 2.0)))
    assert taken(board) == [(1, 2.0)]


def test_what_is_delivered_is_whole_up_to_the_version_of_the_last_frame():
    board = opened()
    board.on_frame(SUBJECT, frame(110, candle(1)))
    assert (taken(board), whole_us(board)) == ([(1, 1.0)], 110)
    board.on_frame(SUBJECT, frame(120))
    assert (board.is_dirty, whole_us(board)) == (False, 120)


def test_after_a_loss_the_version_stands_still_until_an_answer_has_come():
    board = opened()
    board.on_missed(SUBJECT)
    board.on_frame(SUBJECT, frame(120, candle(2)))
    assert (taken(board), whole_us(board)) == ([(2, 1.0)], 100)
    question = board.ask(board.series[KEY], None, 50)
    assert question.after_us == 100
    assert board.on_answer(question, 130, bars((1, 110, 5.0), (2, 115, 1.0)))
    assert (taken(board), whole_us(board)) == ([(1, 5.0)], 120)
    assert board.to_ask() == []


def test_an_answer_from_before_another_loss_does_not_heal_that():
    board = opened()
    board.on_missed(SUBJECT)
    question = board.ask(board.series[KEY], None, 50)
    board.on_missed(SUBJECT)
    board.on_answer(question, 130, bars((1, 110, 5.0)))
    assert (taken(board), whole_us(board)) == ([(1, 5.0)], 100)
    question = board.ask(board.series[KEY], None, 50)
    assert question.after_us == 130
    board.on_answer(question, 140, bars())
    assert whole_us(board) == 100  # no frame has come since
    assert board.to_ask() == []


def test_a_batch_that_is_older_than_an_answer_is_no_news():
    board = opened()
    board.on_missed(SUBJECT)
    board.on_answer(board.ask(board.series[KEY], None, 50), 150, bars((1, 140, 7.0)))
    board.on_frame(SUBJECT, frame(120, candle(1, 3.0)))
    board.on_frame(SUBJECT, frame(150, candle(1, 7.0)))
    board.on_frame(SUBJECT, frame(160, candle(1, 8.0)))
    assert taken(board) == [(1, 8.0)]


def test_an_answer_that_is_older_than_a_batch_does_not_put_a_bar_back():
    board = opened()
    board.on_missed(SUBJECT)
    question = board.ask(board.series[KEY], None, 50)
    board.on_frame(SUBJECT, frame(150, candle(1, 8.0)))
    assert taken(board) == [(1, 8.0)]
    board.on_answer(question, 120, bars((1, 110, 3.0)))
    assert taken(board) == []


def test_an_answer_that_is_older_than_what_is_still_kept_is_of_no_use():
    board = opened()
    board.on_missed(SUBJECT)
    question = board.ask(board.series[KEY], None, 50)
    board.on_frame(SUBJECT, frame(150, *[candle(one) for one in range(20)]))
    assert not board.on_answer(question, 120, bars((1, 110, 3.0)))
    assert len(taken(board)) == 20
    assert [series.key for series in board.to_ask()] == [KEY]


def test_a_series_begins_with_its_newest_bar_and_nothing_else():
    board = CandleBoard()
    board.on_frame(SUBJECT, frame(100))
    question = board.ask(board.open(KEY, instrument()), None, 50)
    assert question.after_us == 50
    board.on_answer(question, 100, bars((1, 60, 4.0), (2, 70, 5.0)))
    assert taken(board) == [(2, 5.0)]
    assert [change.open_ms for change in board.series[KEY].since(50) or ()] == [1, 2]


def test_what_changed_between_the_question_and_its_answer_is_news():
    board = CandleBoard()
    board.on_frame(SUBJECT, frame(100))
    question = board.ask(board.open(KEY, instrument()), None, 50)
    board.on_answer(question, 130, bars((1, 110, 4.0), (2, 120, 5.0)))
    board.on_frame(SUBJECT, frame(130, candle(1, 4.0), candle(2, 5.0)))
    assert taken(board) == [(1, 4.0), (2, 5.0)]


def test_corrections_and_what_was_missed_are_repairs():
    board = opened()
    final = CandleFlag.FINAL
    board.on_frame(SUBJECT, frame(110, candle(1, flags=final), candle(2, flags=final, revision=1), candle(3)))
    assert [change.is_repair for change in board.take()[KEY]] == [False, True, False]
    board.on_missed(SUBJECT)
    board.on_answer(board.ask(board.series[KEY], None, 50), 130, bars((9, 120, 5.0)))
    assert [change.is_repair for change in board.take()[KEY]] == [True]


def test_venues_are_whole_up_to_versions_of_their_own():
    board = opened()
    other = SeriesKey(2, 1)
    board.open(other, instrument(2, "w"))
    both = board.venues_of([KEY, other])
    assert board.whole_us(both) == 100  # of the other one nothing has been heard yet
    board.on_frame("recorded.w", frame(90))
    assert (board.whole_us(both), whole_us(board)) == (90, 100)


def test_a_mark_is_where_everything_was_delivered():
    board = opened()
    before = board.mark(board.venues_of([KEY]))
    board.on_frame(SUBJECT, frame(110, candle(1)))
    assert board.mark(board.venues_of([KEY])) == before == CandleMark(before.stamp, 100)
    taken(board)
    assert board.mark(board.venues_of([KEY])) == CandleMark(before.stamp + 1, 110)


def test_what_is_not_watched_for_a_while_is_forgotten():
    board = opened()
    board.keep({KEY})
    board.keep(set())
    assert KEY in board.series
    board.keep({KEY})
    board.keep(set())
    board.keep(set())
    assert board.series == {}
    board.on_frame(SUBJECT, frame(110, candle(1)))
    assert not board.is_dirty
