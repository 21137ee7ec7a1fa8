from structlog.testing import capture_logs

from gateway.cache.rounds import Rounds


def test_rounds_that_fell_out_are_counted_and_said_once_when_it_goes_on():
    rounds = Rounds("prices")
    with capture_logs() as logs:
        rounds.on_written(3)
        rounds.on_skipped()
        rounds.on_skipped(2)
        assert logs == []
        rounds.on_written(4)
        rounds.on_written(4)
    assert rounds.describe() == {"written": 11, "skipped_rounds": 3}
    assert [(one["event"], one["what"], one["rounds"]) for one in logs] == [
        ("cache.rounds_skipped", "prices", 3)
    ]
