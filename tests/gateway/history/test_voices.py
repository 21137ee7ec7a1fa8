from gateway.history.voices import LIVE_S, Voices
from protocol.batches import Batch
from protocol.events import Kind
from protocol.frames import decode_v2, encode_v2

SUBJECT = "recorded.binance"


def batch(epoch_us: int, sequence: int, *versions: int) -> Batch:
    frames = [decode_v2(encode_v2([], version, Kind.CANDLE)) for version in versions]
    return Batch(epoch_us, sequence, 0, frames)


def test_a_recorder_is_live_while_it_is_heard_of_this_venue():
    voices = Voices()
    assert not voices.is_live("binance", 0.0)
    voices.hear(SUBJECT, batch(1, 1), 10.0)
    assert voices.is_live("binance", 10.0 + LIVE_S - 0.1)
    assert not voices.is_live("binance", 10.0 + LIVE_S)
    assert not voices.is_live("binance-usdm", 10.0)


def test_the_newest_version_of_a_batch_is_how_far_it_has_got():
    voices = Voices()
    assert voices.version("binance") == 0
    voices.hear(SUBJECT, batch(1, 1, 5, 7), 0.0)
    voices.hear(SUBJECT, batch(1, 2), 0.0)
    assert voices.version("binance") == 7


def test_batches_that_were_missed_are_noticed():
    voices = Voices()
    assert voices.hear(SUBJECT, batch(1, 4), 0.0) is None
    assert voices.hear(SUBJECT, batch(1, 5), 0.0) is None
    assert voices.hear(SUBJECT, batch(1, 7), 0.0) == "batches_missed"
    assert voices.hear(SUBJECT, batch(1, 8), 0.0) is None


def test_a_recorder_that_began_anew_has_got_nowhere_yet():
    voices = Voices()
    voices.hear(SUBJECT, batch(1, 1, 9), 0.0)
    assert voices.hear(SUBJECT, batch(2, 1), 0.0) == "recorder_began_anew"
    assert voices.version("binance") == 0
    assert voices.hear(SUBJECT, batch(2, 2, 3), 0.0) is None
    assert voices.version("binance") == 3
