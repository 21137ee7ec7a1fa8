"""The record of messages that did not parse."""

from gateway.feeds.connections.bad_payloads import MOST_BYTES, BadMessage, BadPayloads


def test_the_newest_are_kept_and_all_are_counted() -> None:
    record = BadPayloads(kept=2)
    for number in range(5):
        record.add(number, "trade-0", "broken", b"{")
    assert list(record) == [
        BadMessage(3, "trade-0", "broken", b"{"),
        BadMessage(4, "trade-0", "broken", b"{"),
    ]
    assert (record.count, len(record)) == (5, 2)


def test_a_long_message_is_kept_by_its_beginning() -> None:
    record = BadPayloads()
    record.add(0, "trade-0", "broken", b"x" * 1_000_000)
    assert [len(one.data) for one in record] == [MOST_BYTES]
