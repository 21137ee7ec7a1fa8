"""What the exchange allows: numbers from Binance's documents, and the windows that count.

Spot and futures count request weight in two pools (USD-M and COIN-M have shared theirs since
2026-06-30), by the clock's minute and the client's address. Who goes on after a 429 is banned.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from gateway.sim.market.symbols import Board

MAX_BAN_S: Final = 3 * 24 * 3600


@dataclass(frozen=True, slots=True)
class SimLimits:
    """Binance's limits, as of 2026. Tests lower them."""

    spot_messages: int = 5
    """Inbound messages a second and connection, PING and PONG included."""
    futures_messages: int = 10
    spot_streams: int = 1024
    """Streams a connection."""
    futures_streams: int = 200
    attempts: int = 300
    """Connection attempts of an address in `attempts_s` seconds."""
    attempts_s: int = 300
    life_s: float = 24 * 3600.0
    spot_ping_s: float = 20.0
    spot_pong_s: float = 60.0
    """How long a ping may stay unanswered."""
    futures_ping_s: float = 180.0
    futures_pong_s: float = 600.0
    spot_weight: int = 6_000
    """Request weight a minute and address."""
    futures_weight: int = 2_400
    ban_after: int = 10
    """Requests made in spite of 429, in one minute, that end in a ban."""
    ban_s: int = 120
    """The first ban; each further one is twice as long, up to three days."""
    max_buffer_bytes: int = 8_000_000
    """What may wait to be written to a connection; a client that is further behind is dropped."""

    def messages(self, board: Board) -> int:
        return self.spot_messages if board is Board.SPOT else self.futures_messages

    def streams(self, board: Board) -> int:
        return self.spot_streams if board is Board.SPOT else self.futures_streams

    def ping_s(self, board: Board) -> float:
        return self.spot_ping_s if board is Board.SPOT else self.futures_ping_s

    def pong_s(self, board: Board) -> float:
        return self.spot_pong_s if board is Board.SPOT else self.futures_pong_s

    def weight(self, board: Board) -> int:
        return self.spot_weight if board is Board.SPOT else self.futures_weight


class Window:
    """Counts events in a sliding window."""

    def __init__(self, limit: int, span_us: int) -> None:
        self.most = 0
        """The most events that ever came within one span; beyond one too many it is not counted on."""
        self._limit = limit
        self._span_us = span_us
        self._times: deque[int] = deque(maxlen=limit + 1)  # one more than allowed is all one must know

    def exceeded_by(self, now_us: int) -> bool:
        """Count one event; say whether it is one too many."""
        self._times.append(now_us)
        within = sum(now_us - time_us < self._span_us for time_us in self._times)
        self.most = max(self.most, within)
        return within > self._limit


@dataclass(slots=True)
class _Account:
    minute: int = 0
    used: int = 0
    refused: int = 0
    bans: int = 0
    banned_until_us: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a request."""

    status: int
    """200, 429 or 418."""
    used: int
    """The weight used in this minute."""
    retry_after_s: int = 0
    banned_until_ms: int = 0


class WeightPool:
    """The weight that each address has used in this minute."""

    def __init__(self, limit: int, ban_after: int, ban_s: int) -> None:
        self.limit = limit
        self._ban_after = ban_after
        self._ban_s = ban_s
        self._accounts: dict[str, _Account] = {}

    def charge(self, address: str, weight: int, now_us: int) -> Verdict:
        """Count a request's weight and judge it."""
        account = self._accounts.setdefault(address, _Account())
        minute = now_us // 60_000_000
        if account.minute != minute:
            account.minute, account.used, account.refused = minute, 0, 0
        account.used += weight
        if now_us >= account.banned_until_us and account.used <= self.limit:
            return Verdict(200, account.used)
        return self._refuse(account, now_us)

    def _refuse(self, account: _Account, now_us: int) -> Verdict:
        account.refused += 1
        if now_us >= account.banned_until_us and account.refused > self._ban_after:
            length_s = min(self._ban_s * 2**account.bans, MAX_BAN_S)
            account.bans += 1
            account.banned_until_us = now_us + length_s * 1_000_000
        if now_us < account.banned_until_us:
            left_s = -(-(account.banned_until_us - now_us) // 1_000_000)
            return Verdict(418, account.used, left_s, account.banned_until_us // 1000)
        return Verdict(429, account.used, 60 - now_us // 1_000_000 % 60)
