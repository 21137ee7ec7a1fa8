"""What a client has asked for of symbols that do not exist yet."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from protocol.control import CANDLE, Subscribe
from protocol.symbols import full_name

LONGEST_NAME: Final = 64
"""A longer name is never listed, and so not waited for."""


@dataclass(slots=True)
class _Wish:
    """What is wanted of one symbol."""

    kinds: set[str] = field(default_factory=set)
    since: int | None = None
    candles: dict[str, int | None] = field(default_factory=dict)
    """By interval: from which version on."""


class Awaited:
    """The wishes, by full name. Full, at the client's limit of symbols: later ones are not waited for."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._wishes: dict[str, _Wish] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._wishes)

    def add(
        self,
        names: Sequence[str],
        kinds: Sequence[str],
        since: Mapping[str, int],
        candles: Mapping[str, int | None],
    ) -> None:
        """Note what is wanted of some symbols; `since` by full name."""
        for name in names:
            if len(self._wishes) < self._most and len(name) <= LONGEST_NAME:
                wish = self._wishes.setdefault(full_name(name), _Wish())
                wish.kinds.update(kinds)
                wish.since = since.get(full_name(name), wish.since)
                wish.candles.update(candles)

    def drop(self, name: str) -> bool:
        """Forget a wish; say whether there was one."""
        return self._wishes.pop(full_name(name), None) is not None

    def take(self, name: str) -> list[Subscribe]:
        """Forget a wish, and say it again: in as few messages as its candles begin at different places."""
        full = full_name(name)
        wish = self._wishes.pop(full)
        kinds = sorted(wish.kinds - {CANDLE})
        since = {} if wish.since is None else {full: wish.since}
        messages = [Subscribe([full], kinds, since)] if kinds else []
        for since_us in dict.fromkeys(wish.candles.values()):
            intervals = [one for one, at in wish.candles.items() if at == since_us]
            messages.append(Subscribe([full], [CANDLE], intervals=intervals, since_us=since_us))
        return messages
