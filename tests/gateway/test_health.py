import pytest

from gateway.feed_watch import FeedHealth, Trouble, feeds_part
from gateway.health import Part, State, overall
from gateway.recorder_report import BarFigures, RecorderReport, StoreFigures, decode_report, recorder_parts

WELL = FeedHealth("binance", 0, True, 4, 4, 5)
HURT = FeedHealth("binance", 1, True, 4, 3, 5, (Trouble("a", "wss://a", "backing off", "no route"),))
AWAY = FeedHealth("binance", 2, answers=False)


@pytest.mark.parametrize(
    ("serves", "states", "whole"),
    [
        (True, [State.OK, State.OK], State.OK),
        (True, [State.OK, State.DEGRADED], State.DEGRADED),
        (True, [State.OK, State.DOWN], State.DEGRADED),
        (True, [State.UNKNOWN], State.DEGRADED),
        (False, [State.OK], State.DOWN),
    ],
)
def test_only_what_serves_nothing_is_down(serves: bool, states: list[State], whole: State):
    assert overall(serves=serves, parts=[Part("a", state) for state in states]) is whole


@pytest.mark.parametrize(
    ("feeds", "part"),
    [
        ([WELL], Part("feeds", State.OK)),
        ([WELL, HURT, HURT], Part("feeds", State.DEGRADED, "wss://a: no route")),
        ([WELL, AWAY], Part("feeds", State.DEGRADED, "binance shard 2 does not answer")),
        ([AWAY], Part("feeds", State.DOWN, "binance shard 2 does not answer")),
        ([], Part("feeds", State.UNKNOWN, "none has been heard yet")),
    ],
)
def test_feeds_are_down_when_none_delivers_and_degraded_when_some_do_not(feeds, part):
    assert feeds_part(feeds) == part


def states(report: RecorderReport | None) -> dict[str, tuple[State, str]]:
    return {part.name: (part.state, part.reason) for part in recorder_parts(report)}


def test_a_store_that_is_away_is_named_with_its_reason():
    store = StoreFigures(down_since_ms=5, reason="connection refused")
    assert states(RecorderReport(store=store))["store"] == (State.DOWN, "connection refused")
    refusing = BarFigures(refused_for="disk full")
    assert states(RecorderReport(bars=refusing))["store"] == (State.DOWN, "disk full")
    assert states(RecorderReport()) == {"recorder": (State.OK, ""), "store": (State.OK, "")}


def test_nothing_is_known_of_the_store_of_a_recorder_that_does_not_answer():
    assert states(None) == {
        "recorder": (State.DOWN, "does not answer"),
        "store": (State.UNKNOWN, "the recorder does not answer"),
    }


def test_a_recorder_of_another_version_may_say_less_and_more():
    report = decode_report(b'{"pid":7,"bars":{"written":3,"colour":"red"},"new":{}}')
    assert report.bars.written == 3
    assert report.trades.batches == 0
