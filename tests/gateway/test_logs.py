"""The log lines that leave a process."""

import io
import json
import logging
import sys

import pytest
import structlog

from gateway.logs import BURST, LIBRARY, WINDOW_S, RepeatLimit, complaints, hide_secrets, start_logs


@pytest.fixture
def stream(logs_put_back: None) -> io.StringIO:
    """Where the logs go."""
    return io.StringIO()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_the_event_comes_first_then_who_and_when_then_the_fields(stream):
    start_logs("info", "json", "feed 0/2", stream)
    structlog.get_logger("gateway.x").info("feed.gap", symbol="币安人生USDT", missing=3)
    (line,) = lines(stream)
    assert list(line) == ["event", "level", "timestamp", "role", "symbol", "missing"]
    assert (line["event"], line["role"], line["missing"]) == ("feed.gap", "feed 0/2", 3)


def test_auto_is_json_where_nobody_watches(stream):
    start_logs("info", "auto", "role", stream)
    structlog.get_logger("gateway.x").info("a.b")
    assert lines(stream)[0]["event"] == "a.b"


def test_console_lines_are_for_people(stream):
    start_logs("info", "console", "feed 0/2", stream)
    structlog.get_logger("gateway.x").info("feed.gap", missing=3)
    assert "feed.gap" in stream.getvalue()
    assert "[feed 0/2] missing=3" in stream.getvalue()


def test_below_the_level_nothing_is_said(stream):
    start_logs("warning", "json", "role", stream)
    structlog.get_logger("gateway.x").info("a.b")
    assert stream.getvalue() == ""


def test_libraries_go_the_same_way_and_only_their_warnings(stream):
    start_logs("info", "json", "role", stream)
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").warning("lost %s", "nats://me:swordfish@host")
    (line,) = lines(stream)
    assert line["event"] == "lost nats://********@host"
    assert line["logger"] == "some.library"


def test_secrets_are_hidden_by_the_name_of_their_field_and_in_addresses():
    fields = {"event": "a", "nats_password": "x", "url": "http://me:x@h/p?q", "api_token": "", "tries": 3}
    assert hide_secrets(None, "info", fields) == {
        "event": "a",
        "nats_password": "********",
        "url": "http://********@h/p?q",
        "api_token": "",
        "tries": 3,
    }


def test_a_crash_is_a_log_line_without_the_values_of_variables(stream):
    start_logs("info", "json", "role", stream)
    try:
        password = "swordfish"
        raise ValueError(len(password))
    except ValueError:
        sys.excepthook(*sys.exc_info())
    (line,) = lines(stream)
    assert line["event"] == "process.crashed"
    assert "ValueError" in str(line["exception"])


def test_repeats_are_held_back_and_counted():
    now_s = 0.0
    limit = RepeatLimit(lambda: now_s)

    def passes(event: str = "a.b") -> tuple[bool, dict[str, object]]:
        fields: dict[str, object] = {"event": event}
        record = logging.LogRecord("gateway.x", logging.INFO, "", 0, fields, None, None)
        return limit.filter(record), fields

    assert [passes()[0] for _ in range(BURST + 5)] == [True] * BURST + [False] * 5
    assert passes("c.d")[0]
    now_s += WINDOW_S
    assert passes() == (True, {"event": "a.b", "held_back": 5})
    assert passes() == (True, {"event": "a.b"})


def test_a_line_of_a_library_counts_by_its_template():
    limit = RepeatLimit(lambda: 0.0)
    records = [
        logging.LogRecord("lib", logging.WARNING, "", 0, "lost %d", (number,), None)
        for number in range(BURST + 1)
    ]
    assert [limit.filter(record) for record in records] == [True] * BURST + [False]


def test_what_was_held_back_is_told_also_if_the_event_never_comes_again(stream):
    start_logs("info", "json", "role", stream)
    now_s = 0.0
    (handler,) = logging.getLogger().handlers
    (limit,) = [one for one in handler.filters if isinstance(one, RepeatLimit)]
    limit._now_s = lambda: now_s
    limit._told_s = 0.0
    log = structlog.get_logger("gateway.x")
    for _ in range(BURST + 7):
        log.info("a.storm")
    now_s += WINDOW_S
    log.info("c.calm")
    told = [line for line in lines(stream) if line["event"] == "logs.held_back"]
    assert [(line["of"], line["held_back"]) for line in told] == [("a.storm", 7)]
    log.info("a.storm")
    assert "held_back" not in lines(stream)[-1]


def test_warnings_and_errors_are_counted_by_event_also_when_held_back(stream):
    start_logs("info", "json", "role", stream)
    complaints.clear()
    for _ in range(BURST + 3):
        structlog.get_logger("gateway.x").warning("a.complaint", number=1)
    structlog.get_logger("gateway.x").info("a.report")
    logging.getLogger("some.library").error("lost %s", "it")
    assert complaints == {("warning", "a.complaint"): BURST + 3, ("error", LIBRARY): 1}
