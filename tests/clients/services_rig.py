"""A venue of its own on a real bus: a test says what workers, gateways and the recorder would."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from clients.services import Lane, Services
from clients.updates import Connected
from gateway.registry import Registry
from processors.bus import Bus, BusAddress, connect
from protocol import subjects
from protocol.events import Candle, CandleFlag, GapCause, GapState, Kind, Price, Trade
from protocol.frames import encode_v2
from protocol.ledger import LedgerEntry, format_entry
from protocol.symbols import Instrument

TIMEOUT_S = 30.0
TIME_US = 1_700_000_000_000_000
_venues = itertools.count(1)


@dataclass
class Market:
    """One venue with two symbols."""

    url: str
    bus: Bus
    venue: str
    btc: Instrument
    eth: Instrument
    versions: Any = field(default_factory=lambda: itertools.count(1_000, 1_000))

    @property
    def name(self) -> str:
        return self.btc.name

    def services(self, **options: Any) -> Services:
        return Services(self.url, **options)

    async def price(self, price: float, changes: int = 1) -> None:
        row = Price(self.btc.id, changes << 8, 500, price, 10.0)
        await self.bus.publish(subjects.prices(self.venue, "BTCUSDT"), encode_v2([row], TIME_US))

    async def trades(self, *ids: int) -> None:
        await self.bus.publish(subjects.trades(self.venue, "BTCUSDT"), self.trade_frame(ids))

    def trade_frame(self, ids: Any) -> bytes:
        rows = [Trade(self.btc.id, 0, 1, one, 1_000 * one, 100.0, 1.0) for one in ids]
        return encode_v2(rows, TIME_US, Kind.TRADE)

    async def gap(self, state: GapState, first_id: int, last_id: int, **more: Any) -> None:
        fields = {"cause": GapCause.SKIPPED, "missing": last_id - first_id + 1, "stream": "aggTrade", **more}
        entry = LedgerEntry(
            id=f"{self.venue}-{first_id}-{state}",
            venue=self.venue,
            native="BTCUSDT",
            symbol_id=self.btc.id,
            state=state,
            first_id=first_id,
            last_id=last_id,
            noticed_us=1,
            **fields,
        )
        await self.bus.publish(subjects.gaps(self.venue, "BTCUSDT"), format_entry(entry))

    async def candle(self, minute: int, instrument: Instrument | None = None) -> int:
        """Store a final candle; return its sequence."""
        one = instrument or self.btc
        row = Candle(one.id, 1, CandleFlag.FINAL, 0, minute * 60_000, 1.0, 9.0, 0.5, 5.0, 2.0, 3, 0, 1.5)
        subject = subjects.candles(self.venue, one.native, "1m")
        return await self.bus.append(subject, encode_v2([row], next(self.versions)))


@asynccontextmanager
async def market_on(url: str) -> AsyncIterator[Market]:
    venue = f"services{next(_venues)}"
    async with connect(BusAddress([url]), "test") as bus:
        registry = Registry(bus)
        await registry.open()
        await bus.open_rolling_stream("CANDLES", subjects.ALL_CANDLES, max_bytes=2**24)
        await bus.open_rolling_stream("GAPS", subjects.ALL_GAPS, max_bytes=2**24)
        fields = {"exchange": venue.upper(), "venue": venue, "price_precision": 2, "simulated": True}
        listed = [Instrument(symbol=one, native=one, **fields) for one in ("BTCUSDT", "ETHUSDT")]
        yield Market(url, bus, venue, *await registry.register(listed))


class Reading:
    """The items of a lane, one after the other."""

    def __init__(self, items: AsyncGenerator[Any, None]) -> None:
        self._items = items

    async def next(self, kind: type[Any] | None = None) -> Any:
        """Return the next item, or the next of a kind."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                item = await anext(self._items)
                if kind is None or isinstance(item, kind):
                    return item

    async def take(self, count: int) -> list[Any]:
        return [await self.next() for _ in range(count)]


@asynccontextmanager
async def reading(lane: Lane[Any], *, connects: bool = True) -> AsyncIterator[Reading]:
    """Read a lane; one of core NATS is subscribed once it has said that it is connected."""
    items = lane.items()
    try:
        one = Reading(items)
        if connects:
            assert (await one.next(Connected)).away_ms == 0
        yield one
    finally:
        await items.aclose()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110  # what was heard and not read has no event
            await asyncio.sleep(0)
