"""Logs: the event first, then its fields, one line each, on stderr.

    log = structlog.get_logger()
    log.info("feed.gap", symbol="BTCUSDT", missing=3)

On a terminal the lines are made for people, elsewhere they are JSON. What libraries say
through `logging` goes the same way, from warnings on. After `BURST` lines of one event within
`WINDOW_S` the others are only counted; the first of the next window says how many:
`held_back=…`, or the first line of anything else: `logs.held_back`. Warnings and errors are counted by event
(`complaints`), held back or not. The values of fields that are named like a secret, and the user part of
addresses, are hidden; tracebacks show no variables.
"""

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from gateway.config.values import HIDDEN, show_value

BURST: Final = 10
WINDOW_S: Final = 10.0
MAX_EVENTS: Final = 1_000
_SECRET_NAMES: Final = ("password", "token", "secret", "credential", "authorization", "cookie", "api_key")
_OURS: Final = ("gateway", "processors", "clients", "bench", "__main__")
"""Whose lines are shown from the wanted level on; libraries say only what is a warning or worse."""
LIBRARY: Final = "library"
_Formatter: Final = structlog.stdlib.ProcessorFormatter

complaints: Final[Counter[tuple[str, str]]] = Counter()
"""How many warnings and errors this process has had, by level and event; all of libraries as one event."""
log = structlog.get_logger()


def start_logs(level: str, form: str, role: str, stream: TextIO | None = None) -> None:
    """Send this process's logs to stderr, each line saying which role it comes from."""
    stream = stream or sys.stderr
    for_people = form == "console" or (form == "auto" and stream.isatty())
    shared = [structlog.stdlib.add_log_level, _role_adder(role), hide_secrets, _timestamp(for_people)]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, _Formatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # a module's logger may exist before the logs are started
    )
    handler = logging.StreamHandler(stream)
    handler.addFilter(count_complaint)
    handler.addFilter(RepeatLimit(time.monotonic))
    handler.setFormatter(
        _Formatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder(), *shared],
            processors=[_Formatter.remove_processors_meta, *_rendering(for_people, stream.isatty())],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for package in _OURS:
        logging.getLogger(package).setLevel(level.upper())
    sys.excepthook = _log_crash


class RepeatLimit(logging.Filter):
    """Lets `BURST` lines of an event pass in a window, counts the others, and says so in the next."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        super().__init__()
        self._now_s = now_s
        self._windows: dict[tuple[str, str], tuple[float, int]] = {}
        """(logger, event) -> when its window began, lines since. Full: forgets all, and lets lines pass."""
        self._told_s = now_s()

    def filter(self, record: logging.LogRecord) -> bool:
        fields = record.msg if isinstance(record.msg, dict) else {}
        key = (record.name, event_of(record))
        now_s = self._now_s()
        if now_s - self._told_s >= WINDOW_S:
            self._told_s = now_s
            self._tell_ended(now_s, key)
        began_s, lines = self._windows.get(key, (now_s, 0))
        if now_s - began_s >= WINDOW_S:
            if lines > BURST:
                fields["held_back"] = record.held_back = lines - BURST
            began_s, lines = now_s, 0
        if len(self._windows) >= MAX_EVENTS:
            self._windows.clear()
        self._windows[key] = (began_s, lines + 1)
        return lines < BURST

    def _tell_ended(self, now_s: float, but: tuple[str, str]) -> None:
        """Forget the windows that have ended; say what they held back of events that have not come again."""
        ended = {
            key: lines
            for key, (began_s, lines) in self._windows.items()
            if now_s - began_s >= WINDOW_S and key != but
        }
        for key in ended:
            del self._windows[key]
        for (_, event), lines in ended.items():
            if lines > BURST:
                log.warning("logs.held_back", of=event, held_back=lines - BURST)


def count_complaint(record: logging.LogRecord) -> bool:
    """Count what is a warning or worse; let everything pass."""
    if record.levelno >= logging.WARNING:
        is_ours = record.name.partition(".")[0] in _OURS
        complaints[record.levelname.lower(), event_of(record) if is_ours else LIBRARY] += 1
    return True


def event_of(record: logging.LogRecord) -> str:
    """Return the event of a line; of a library's, its template."""
    return str(record.msg.get("event", "") if isinstance(record.msg, dict) else record.msg)


def hide_secrets(_: WrappedLogger, __: str, fields: EventDict) -> EventDict:
    """Hide the values of fields with a secret's name, and the user part of addresses anywhere."""
    for name, value in fields.items():
        if value and any(word in name.lower() for word in _SECRET_NAMES):
            fields[name] = HIDDEN
        elif isinstance(value, str) and "://" in value:
            fields[name] = show_value(value)
    return fields


def _role_adder(role: str) -> Processor:
    def add_role(_: WrappedLogger, __: str, fields: EventDict) -> EventDict:
        fields.setdefault("role", role)
        return fields

    return add_role


def _timestamp(for_people: bool) -> Processor:
    if for_people:
        return structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
    return structlog.processors.TimeStamper(fmt="iso", utc=True)


def _rendering(for_people: bool, colors: bool) -> list[Processor]:
    if for_people:
        plain = structlog.dev.plain_traceback
        console = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain, sort_keys=False)
        return [_role_as_logger, console]
    return [
        structlog.processors.format_exc_info,
        _event_first,
        structlog.processors.JSONRenderer(default=str),
    ]


def _event_first(_: WrappedLogger, __: str, fields: EventDict) -> EventDict:
    first = ("event", "level", "timestamp", "role")
    return {name: fields.pop(name) for name in first if name in fields} | dict(fields)


def _role_as_logger(_: WrappedLogger, __: str, fields: EventDict) -> EventDict:
    fields["logger"] = fields.pop("role")  # the column in brackets, before the fields
    return fields


def _log_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    structlog.get_logger().critical("process.crashed", error=repr(error), exc_info=(kind, error, trace))
