"""When a silence is suspicious: plain numbers in, plain answers out."""

import random

from gateway.feeds.connections.rhythm import Mute, RhythmRules, Rhythms

RULES = RhythmRules(learn_steps=10, learn_ms=10_000, window_ms=60_000)
START_MS = 1_000_000


def listening_to(*natives: str) -> Rhythms:
    rhythms = Rhythms(RULES)
    rhythms.want(natives)
    rhythms.listen(START_MS)
    return rhythms


def play(rhythms: Rhythms, native: str, every_ms: int, for_ms: int, start_ms: int = START_MS) -> int:
    """Let a stream speak regularly; return when it last did."""
    now_ms = start_ms
    while now_ms + every_ms <= start_ms + for_ms:
        now_ms += every_ms
        rhythms.heard(native, now_ms)
    return now_ms


def test_a_regular_stream_is_suspicious_after_the_least_time():
    rhythms = listening_to("A")
    last_ms = play(rhythms, "A", 100, 20_000)
    assert rhythms.silence(last_ms + RULES.least_all_ms) is None
    silence = rhythms.silence(last_ms + RULES.least_all_ms + 1)
    assert silence is not None
    assert silence.mute is Mute.ALL_SILENT
    assert silence.is_learned
    assert str(silence) == "all silent: nothing for 2.0 s"


def test_a_slow_connection_is_suspicious_after_twice_its_longest_silence():
    rhythms = listening_to("A")
    last_ms = play(rhythms, "A", 4_000, 60_000)
    assert rhythms.silence(last_ms + 8_000) is None
    assert rhythms.silence(last_ms + 8_001) is not None


def test_a_slow_stream_among_others_is_suspicious_after_three_times_its_longest_silence():
    rhythms = listening_to("SLOW", "BUSY")
    last_ms = play(rhythms, "SLOW", 4_000, 60_000)
    play(rhythms, "BUSY", 100, 80_000)
    assert rhythms.silence(last_ms + 12_000) is None
    silence = rhythms.silence(last_ms + 12_001)
    assert silence is not None
    assert silence.natives == {"SLOW"}


def test_the_longest_silence_is_forgotten_after_two_windows():
    rhythms = listening_to("A")
    last_ms = play(rhythms, "A", 10_000, 30_000)
    last_ms = play(rhythms, "A", 1_000, 3 * RULES.window_ms, last_ms)
    assert rhythms.silence(last_ms + 2_001) is not None


def test_the_time_before_the_first_message_is_no_interval():
    rhythms = listening_to("A")
    last_ms = play(rhythms, "A", 100, 20_000, START_MS + 60_000)
    assert rhythms.silence(last_ms + RULES.least_all_ms + 1) is not None


def test_a_burst_is_no_rhythm():
    rhythms = listening_to("A")
    last_ms = play(rhythms, "A", 1, 2_000)
    assert rhythms.silence(last_ms + 600_000) is None


def test_a_quiet_symbol_beside_a_busy_one_is_not_suspicious():
    rhythms = listening_to("BUSY", "QUIET")
    rhythms.heard("QUIET", START_MS + 1)
    last_ms = play(rhythms, "BUSY", 100, 600_000)
    assert rhythms.silence(last_ms) is None


def test_one_silent_stream_is_named_while_the_others_speak():
    rhythms = listening_to("A", "B")
    last_ms = play(rhythms, "A", 100, 20_000)
    play(rhythms, "B", 100, 20_000 + RULES.least_one_ms + 1_000)
    silence = rhythms.silence(last_ms + RULES.least_one_ms + 100)
    assert silence is not None
    assert (silence.mute, silence.natives) == (Mute.ONE_SILENT, {"A"})
    assert str(silence) == "silent after data: nothing from A for 5.1 s"


def test_an_acknowledged_connection_without_any_data_is_suspicious_and_not_proven():
    rhythms = listening_to("A", "B")
    assert rhythms.silence(START_MS + RULES.first_data_ms) is None
    silence = rhythms.silence(START_MS + RULES.first_data_ms + 1)
    assert silence is not None
    assert (silence.mute, silence.is_learned) == (Mute.NO_DATA, False)


def test_nothing_is_suspicious_before_it_is_acknowledged():
    rhythms = Rhythms(RULES)
    rhythms.want({"A"})
    assert rhythms.silence(START_MS + 600_000) is None


def test_the_next_connection_knows_the_rhythm_and_not_the_past():
    rhythms = listening_to("A")
    last_ms = play(rhythms, "A", 100, 20_000)
    fresh = rhythms.anew()
    fresh.listen(last_ms + 60_000)
    assert fresh.heard_since(0) == frozenset()
    assert fresh.silence(last_ms + 60_000 + RULES.least_all_ms) is None
    silence = fresh.silence(last_ms + 60_000 + RULES.least_all_ms + 1)
    assert silence is not None
    assert silence.mute is Mute.NO_DATA
    assert rhythms.silence(last_ms + 60_000) is not None, "the old one is not touched"


def test_an_excused_silence_is_asked_about_again_when_it_is_twice_as_long():
    rhythms = listening_to("A")
    last_ms = play(rhythms, "A", 100, 20_000)
    silence = rhythms.silence(last_ms + 3_000)
    assert silence is not None
    rhythms.excuse(silence, last_ms + 3_000)
    assert rhythms.silence(last_ms + 6_000) is None
    assert rhythms.silence(last_ms + 6_001) is not None
    rhythms.heard("A", last_ms + 7_000)
    assert rhythms.silence(last_ms + 7_000 + 14_001) is not None, "heard again, it has its own measure again"


def test_what_is_not_wanted_any_more_is_not_judged():
    rhythms = listening_to("A", "B")
    play(rhythms, "A", 100, 20_000)
    rhythms.want({"B"})
    last_ms = play(rhythms, "B", 100, 40_000)
    rhythms.heard("A", last_ms)  # still on its way
    assert rhythms.heard_since(0) == {"B"}
    assert rhythms.silence(last_ms) is None


def test_messages_that_come_at_random_are_suspected_no_more_than_the_bound_says():
    # 5 a second: r / (r T)^2 is once in 5 days, with T = 300 s.
    draw, rhythms = random.Random(7), Rhythms(RhythmRules())
    rhythms.want({"A"})
    rhythms.listen(START_MS)
    now_ms = float(START_MS)
    while now_ms < START_MS + 6 * 3_600_000:
        now_ms += draw.expovariate(5) * 1_000
        assert rhythms.silence(round(now_ms)) is None
        rhythms.heard("A", round(now_ms))
