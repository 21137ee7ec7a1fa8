"""A user's market watch: the symbols that are subscribed without being asked for.

The list holds full names in capitals; messages name a symbol of the default exchange without it.
"""

from collections.abc import Sequence
from typing import Final

from protocol.control import AutoSubscribe, AutoUnsubscribe, MarketWatchSubscribe, WatchChange, WatchNews
from protocol.symbols import DEFAULT_EXCHANGE

_DEFAULT: Final = f"{DEFAULT_EXCHANGE}:"


def plain(full: str) -> str:
    """Write a full name as it is written where nobody asks for its exchange."""
    return full.removeprefix(_DEFAULT)


def news_of(told: Sequence[str] | None, names: Sequence[str]) -> list[WatchNews]:
    """Say to somebody who was told one list what has become of it; None: nothing was told yet."""
    if told is None:
        return [_whole(names)]
    before, now = frozenset(told), frozenset(names)
    gained = [one for one in names if one not in before]
    news: list[WatchNews] = [AutoUnsubscribe(WatchChange(plain(one))) for one in told if one not in now]
    news += [AutoSubscribe(WatchChange(plain(one))) for one in gained]
    if [one for one in told if one in now] + gained != list(names):
        news.append(_whole(names))
    return news


def _whole(names: Sequence[str]) -> MarketWatchSubscribe:
    return MarketWatchSubscribe([plain(one) for one in names])
