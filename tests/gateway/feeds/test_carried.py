"""When nodes can be heard, and when the time of what they want stands still."""

from gateway.feeds.carried import LONGEST_STEP_MS, HearingClock, Wishes
from gateway.feeds.dynamic_symbols import DynamicSymbols


class Time:
    def __init__(self) -> None:
        self.ms = 0
        self.is_connected = True

    def read_ms(self) -> int:
        return self.ms


def clock_of(time: Time) -> HearingClock:
    return HearingClock(lambda: time.is_connected, time.read_ms)


def test_the_clock_runs_while_nodes_can_be_heard():
    time = Time()
    clock = clock_of(time)
    for _ in range(10):
        time.ms += 1_000
        clock.now_ms()
    assert clock.now_ms() == 10_000


def test_the_clock_stands_still_while_the_bus_is_away():
    time = Time()
    clock = clock_of(time)
    time.is_connected = False
    time.ms += 500_000
    assert clock.now_ms() == 0
    time.is_connected = True
    time.ms += 10
    assert clock.now_ms() == 10


def test_the_clock_does_not_count_how_long_the_process_stood_still():
    time = Time()
    clock = clock_of(time)
    time.ms += 3_600_000
    assert clock.now_ms() == LONGEST_STEP_MS


def test_nothing_is_let_go_because_the_bus_was_away():
    time = Time()
    wishes = Wishes(DynamicSymbols(node_ttl_ms=15_000, grace_ms=1_000), clock_of(time))
    wishes.on_demand("a", ["ETHUSDT"])
    time.is_connected = False
    for _ in range(100):
        time.ms += 1_000
        assert wishes.wanted() == {"ETHUSDT"}
    time.is_connected = True
    for _ in range(16):
        time.ms += 1_000
        wishes.wanted()
    time.ms += 1_001
    assert wishes.wanted() == set()
