"""Which version a stream goes on from, whatever is asked for meanwhile."""

from clients.candle_version import CandleVersion


def test_it_goes_on_from_the_last_version_that_a_frame_stated():
    version = CandleVersion()
    assert not version.on_open()
    assert version.resume_us is None
    version.on_frame(700)
    version.on_frame(0)
    assert version.resume_us == 700


def test_a_question_is_open_until_a_frame_after_its_answer():
    version = CandleVersion()
    version.on_asked(500)
    version.on_frame(9_000)
    assert version.resume_us == 500
    version.on_pong()
    assert version.resume_us == 500
    version.on_frame(9_001)
    assert version.resume_us == 9_001


def test_of_two_questions_both_must_be_answered():
    version = CandleVersion(800)
    version.on_asked(500)
    version.on_asked(600)
    version.on_pong()
    version.on_frame(9_000)
    assert version.resume_us == 500
    version.on_pong()
    version.on_frame(9_001)
    assert version.resume_us == 9_001


def test_a_new_connection_asks_for_all_in_one():
    version = CandleVersion(800)
    version.on_asked(500)
    assert version.on_open()
    version.on_pong()
    version.on_frame(9_000)
    assert version.resume_us == 9_000


def test_an_answer_that_nothing_was_asked_for_changes_nothing():
    version = CandleVersion(800)
    version.on_pong()
    version.on_asked(500)
    version.on_frame(9_000)
    assert version.resume_us == 500
