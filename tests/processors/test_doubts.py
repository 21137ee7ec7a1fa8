from trading_days import HOUR, MINUTE, NOON

from processors.bars.doubts import ASKED_MS, Doubts


def test_minutes_that_touch_are_one_question_and_no_minute_is_asked_for_twice():
    doubts = Doubts()
    for minute in (3, 1, 2, 2, 9):
        doubts.add_bar(NOON + minute * MINUTE + 30_000, 1)
    assert doubts
    assert doubts.take() == [(NOON + MINUTE, NOON + 4 * MINUTE), (NOON + 9 * MINUTE, NOON + 10 * MINUTE)]
    assert not doubts
    doubts.add_bar(NOON + 2 * MINUTE, 1)
    assert doubts.take() == []


def test_a_minute_of_an_hour_that_was_asked_for_is_not_asked_for_again():
    doubts = Doubts()
    doubts.add_bar(NOON + 7 * MINUTE, 60)
    assert doubts.take() == [(NOON, NOON + HOUR)]
    doubts.add_bar(NOON + 59 * MINUTE, 1)
    assert doubts.take() == []
    doubts.forget(NOON + HOUR + ASKED_MS)
    doubts.add_bar(NOON + 59 * MINUTE, 1)
    assert doubts.take() == [(NOON + 59 * MINUTE, NOON + HOUR)]
