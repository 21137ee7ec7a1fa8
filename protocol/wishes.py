"""What of a `subscribe` message can be served, before anybody looks at its symbols."""

from typing import NamedTuple

from protocol import control
from protocol.control import Subscribe, format_error
from protocol.errors import UnknownInterval
from protocol.intervals import parse_interval
from protocol.symbols import full_name


class Wish(NamedTuple):
    """What is left of it."""

    kinds: list[str]
    intervals: list[int]
    since: dict[str, int]
    """By full names."""
    errors: list[bytes]
    """Replies that say what is not served."""


def read_wish(wish: Subscribe, version: int) -> Wish:
    """Keep what there is in this version of the protocol."""
    errors: list[bytes] = []
    kinds, intervals = _served(wish, version, errors)
    return Wish(kinds, intervals, _since(wish, kinds, errors), errors)


def _served(wish: Subscribe, version: int, errors: list[bytes]) -> tuple[list[str], list[int]]:
    offered = control.KINDS_OF_VERSION[version]
    kinds = [kind for kind in wish.kinds if kind in offered]
    refused = [kind for kind in wish.kinds if kind not in offered]
    if refused:
        errors.append(format_error("unsupported_kind", f"no such kind here: {', '.join(refused)}"))
    if wish.since_us is not None and control.CANDLE not in kinds:
        errors.append(format_error("bad_since", "since_us goes with candles"))
    if control.CANDLE not in kinds:
        return kinds, []
    intervals, unknown = _intervals(wish.intervals or [control.DEFAULT_INTERVAL])
    if unknown:
        errors.append(format_error("unknown_interval", "no such interval", intervals=unknown))
    return [kind for kind in kinds if kind != control.CANDLE or intervals], intervals


def _intervals(names: list[str]) -> tuple[list[int], list[str]]:
    """Split names into the intervals there are and the names that are none."""
    found, unknown = [], []
    for name in names:
        try:
            found.append(parse_interval(name))
        except UnknownInterval:
            unknown.append(name)
    return found, unknown


def _since(wish: Subscribe, kinds: list[str], errors: list[bytes]) -> dict[str, int]:
    """Return `since` by full names, without what is said of symbols whose trades are not asked for."""
    if not wish.since:
        return {}
    asked = {full_name(name) for name in wish.symbols} if control.TRADE in kinds else set()
    wrong = [name for name in wish.since if full_name(name) not in asked]
    if wrong:
        text = "since goes with the trades of a symbol that the same message asks for"
        errors.append(format_error("bad_since", text, wrong))
    return {full: last for name, last in wish.since.items() if (full := full_name(name)) in asked}
