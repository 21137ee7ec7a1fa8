import resource

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.store.history import StoreUnusable
from gateway.store.segments import MAGIC, READ_BYTES, Segments


def drain(segments):
    """Deal with everything, and return it."""
    found = []
    while segments.waiting_bytes:
        payloads, place = segments.read()
        found += payloads
        segments.dealt_with(place)
    return found


def test_records_come_back_in_order_over_many_files(tmp_path):
    sent = [bytes([number]) * number for number in range(200)]
    with Segments(tmp_path, 20_000) as segments:
        for payload in sent:
            segments.append([payload])
        assert segments.files > 3
        assert list(segments) == sent
        assert drain(segments) == sent
        assert not list(tmp_path.glob("*.spool")), "what is empty is gone"
        segments.append([b"again"])
        assert drain(segments) == [b"again"]


def test_more_than_is_read_at_a_time(tmp_path):
    sent = [bytes([number]) * (READ_BYTES // 3) for number in range(10)]
    with Segments(tmp_path, 8 * 20 * READ_BYTES) as segments:
        segments.append(sent)
        assert segments.files == 1
        assert drain(segments) == sent


def test_records_may_come_while_others_are_dealt_with(tmp_path):
    with Segments(tmp_path, 1_000_000) as segments:
        segments.append([b"one", b"two"])
        payloads, place = segments.read()
        segments.append([b"three"])
        segments.dealt_with(place)
        assert payloads == [b"one", b"two"]
        assert drain(segments) == [b"three"]


def test_another_process_finds_what_was_left(tmp_path):
    with Segments(tmp_path, 10_000) as segments:
        for number in range(50):
            segments.append([b"%d" % number])
        waiting = segments.waiting_bytes
    with Segments(tmp_path, 10_000) as segments:
        assert segments.waiting_bytes == waiting
        segments.append([b"more"])
        assert drain(segments) == [b"%d" % number for number in range(50)] + [b"more"]


@settings(max_examples=40)
@given(st.data())
def test_a_torn_end_is_cut_off_and_counted(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("torn")
    sent = [b"one", b"twenty", b"", b"three"]
    with Segments(folder, 10_000) as segments:
        segments.append(sent)
    path = next(folder.glob("*.spool"))
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:cut])
    ends = [len(MAGIC) + 8 * count + sum(map(len, sent[:count])) for count in range(len(sent) + 1)]
    with Segments(folder, 10_000) as segments:
        left = sum(end <= cut for end in ends[1:])
        assert list(segments) == sent[:left]
        assert segments.torn == (cut not in {0, *ends[1:]})
        segments.append([b"new"])
        assert drain(segments) == [*sent[:left], b"new"]


@given(st.integers(0, 10_000))
@settings(max_examples=40)
def test_a_flipped_bit_ends_what_can_be_trusted(tmp_path_factory, position):
    folder = tmp_path_factory.mktemp("flipped")
    sent = [b"one", b"twenty", b"three"]
    with Segments(folder, 10_000) as segments:
        segments.append(sent)
    path = next(folder.glob("*.spool"))
    data = bytearray(path.read_bytes())
    position = len(MAGIC) + position % (len(data) - len(MAGIC))
    data[position] ^= 1
    path.write_bytes(data)
    with Segments(folder, 10_000) as segments:
        found = list(segments)
        assert found == sent[: len(found)]
        assert len(found) < len(sent)
        assert segments.torn == 1


def test_the_oldest_file_makes_room(tmp_path):
    with Segments(tmp_path, 8_000) as segments:
        for number in range(30):
            segments.append([b"%03d" % number + bytes(200)])
        oldest = segments.read_file()
        before = segments.waiting_bytes
        segments.replace_oldest([b"what is left of it"])
        assert segments.waiting_bytes < before
        rest = drain(segments)
    assert rest[0] == b"%03d" % len(oldest) + bytes(200)
    assert rest[-1] == b"what is left of it"


def test_a_place_in_a_dropped_file_is_nothing_to_forget(tmp_path):
    with Segments(tmp_path, 8_000) as segments:
        segments.append([b"one"])
        _, place = segments.read()
        segments.replace_oldest([b"rest"])
        segments.dealt_with(place)
        assert drain(segments) == [b"rest"]


def test_a_full_disk_leaves_no_half_record(tmp_path):
    with Segments(tmp_path, 1_000_000) as segments:
        segments.append([b"one"])
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # to the writer it is as a full disk
        try:
            with pytest.raises(OSError, match="too large"):
                segments.append([bytes(500)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        segments.append([b"two"])
        assert drain(segments) == [b"one", b"two"]


def test_a_folder_is_for_one(tmp_path):
    with Segments(tmp_path, 1_000), pytest.raises(StoreUnusable, match="another process"):
        Segments(tmp_path, 1_000).__enter__()


def test_a_foreign_file_is_left_alone(tmp_path):
    foreign = tmp_path / "00000001.spool"
    foreign.write_bytes(b"a letter to somebody")
    with pytest.raises(StoreUnusable, match="none of our files"):
        Segments(tmp_path, 1_000).__enter__()
    assert foreign.read_bytes() == b"a letter to somebody"
