"""A venue's REST, against the simulated exchange and, where it is too kind, a scripted one."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from gateway.exchanges.venue import VENUES
from gateway.feeds.errors import Refused, Unreachable, UnusableAnswer, VenueError
from gateway.feeds.rest import Rest
from gateway.sim.faults import Fault, FaultKind
from gateway.sim.server import SimOptions, SimulatedExchange


def simulated(symbols: int = 5) -> SimulatedExchange:
    return SimulatedExchange(SimOptions(symbols=symbols, rate=5))


def rest_at(url: str, name: str = "binance") -> Rest:
    return Rest(VENUES[name].with_endpoints(rest=url), first_backoff_ms=1)


@pytest.mark.parametrize(
    ("name", "symbol", "native"),
    [
        ("binance", "BTCUSDT", "BTCUSDT"),
        ("binance-usdm", "BTCUSDT.P", "BTCUSDT"),
        ("binance-coinm", "BTCUSD.P", "BTCUSD_PERP"),
    ],
)
async def test_listing_day_and_clock_of_each_market(name: str, symbol: str, native: str) -> None:
    async with simulated() as sim, rest_at(sim.url, name) as rest:
        listed = {one.symbol: one for one in await rest.exchange_info()}
        assert len(listed) == 5
        assert listed[symbol].native == native
        assert all(one.simulated for one in listed.values())
        [ticker] = await rest.day_tickers({native})
        assert (ticker.native, ticker.close > 0, ticker.volume > 0) == (native, True, True)
        assert abs(await rest.server_time() - time.time() * 1_000) < 60_000


async def test_symbols_that_are_not_ascii_can_be_asked_for() -> None:
    async with simulated(symbols=40) as sim, rest_at(sim.url) as rest:
        natives = {one.native for one in await rest.exchange_info()}
        [foreign] = [native for native in natives if not native.isascii()]
        assert [one.native for one in await rest.day_tickers({foreign})] == [foreign]


@pytest.mark.parametrize(
    ("name", "native"),
    [("binance", "BTCUSDT"), ("binance-usdm", "BTCUSDT"), ("binance-coinm", "BTCUSD_PERP")],
)
async def test_past_trades_come_from_an_id_on_and_without_one_the_newest(name: str, native: str) -> None:
    async with simulated() as sim, rest_at(sim.url, name) as rest:
        (newest,) = await rest.agg_trades(native, None, 1)
        some = await rest.agg_trades(native, newest.id - 9, 5)
        assert [one.id for one in some] == list(range(newest.id - 9, newest.id - 4))
        assert {one.native for one in some} == {native}
        assert all(one.price > 0 and one.quantity > 0 and one.first_id <= one.last_id for one in some)
        assert abs(newest.traded_us / 1e6 - time.time()) < 60
        assert len(await rest.agg_trades(native, newest.id - 5_000, 5_000)) == 1_000


async def test_half_of_the_weight_may_be_used_at_once() -> None:
    async with simulated() as sim, rest_at(sim.url, "binance-usdm") as rest:
        asked = 0
        while rest.has_spare:
            await rest.agg_trades("BTCUSDT", None, 1)
            asked += 1
        limits = VENUES["binance-usdm"].limits
        assert asked == limits.weight_per_min // 2 // 20 + 1


async def test_told_to_wait_it_waits_and_asks_again() -> None:
    async with simulated() as sim, rest_at(sim.url) as rest:
        sim.inject(Fault(FaultKind.RATE_LIMIT, seconds=0.5, retry_after=1))
        assert len(await rest.exchange_info()) == 5


async def test_after_a_refusal_one_asks_at_a_time_until_it_is_over() -> None:
    async with simulated() as sim, rest_at(sim.url) as rest:
        sim.inject(Fault(FaultKind.RATE_LIMIT, seconds=1.5, retry_after=1))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(rest.server_time(), 0.5)  # refused, and waiting
        times = await asyncio.gather(*(rest.server_time() for _ in range(8)))
        assert len(times) == 8
        (refusal,) = sim.exchange.faults.past or sim.exchange.faults.standing
        assert refusal.hits["requests"] <= 2


async def test_while_a_ban_lasts_it_does_not_even_ask() -> None:
    async with simulated() as sim, rest_at(sim.url) as rest:
        sim.inject(Fault(FaultKind.RATE_LIMIT, status=418, retry_after=7_200))
        for _ in range(3):
            with pytest.raises(Refused, match="418") as caught:
                await rest.exchange_info()
            assert caught.value.status == 418
        [ban] = sim.exchange.faults.standing
        assert ban.hits.total() == 1


# Answers that the simulated exchange does not give


class Scripted:
    """Gives one HTTP answer after the other; the last one again and again."""

    def __init__(self, *answers: str) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head.split(b" ")[1].decode())
        status_and_headers, _, body = self._answers[0].partition("\n\n")
        if len(self._answers) > 1:
            del self._answers[0]
        lines = [
            f"HTTP/1.1 {status_and_headers}",
            f"content-length: {len(body.encode())}",
            "connection: close",
        ]
        writer.write(
            ("\r\n".join(lines).replace("\n", "\r\n").replace("\r\r", "\r") + "\r\n\r\n" + body).encode()
        )
        await writer.drain()
        writer.close()

    @asynccontextmanager
    async def __call__(self, name: str = "binance") -> AsyncIterator[Rest]:
        server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        async with server, rest_at(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", name) as rest:
            yield rest


TIME = '200 OK\n\n{"serverTime":1780000000000}'


async def test_a_broken_server_is_asked_again() -> None:
    scripted = Scripted("502 Bad Gateway\n\n<html>", "503 Service Unavailable\n\n", TIME)
    async with scripted() as rest:
        assert await rest.server_time() == 1_780_000_000_000
    assert scripted.asked == ["/api/v3/time"] * 3


async def test_a_mistake_of_ours_is_not_repeated_and_told_in_the_venues_words() -> None:
    scripted = Scripted('400 Bad Request\n\n{"code":-1121,"msg":"Invalid symbol."}')
    async with scripted() as rest:
        with pytest.raises(Refused, match=r"HTTP 400, Invalid symbol. \(code -1121\)"):
            await rest.day_tickers({"NOPE"})
    assert len(scripted.asked) == 1


async def test_a_blocked_country_is_named_as_such() -> None:
    async with Scripted("451 Unavailable For Legal Reasons\n\n<html>")() as rest:
        with pytest.raises(Refused, match="does not serve the country"):
            await rest.exchange_info()


async def test_an_answer_that_is_no_listing_is_an_error_of_the_tree() -> None:
    async with Scripted("200 OK\n\n<html>Welcome to the hotel</html>")() as rest:
        with pytest.raises(UnusableAnswer, match="makes no sense") as caught:
            await rest.exchange_info()
        assert isinstance(caught.value, VenueError)


async def test_weight_that_others_have_used_is_not_used_again() -> None:
    limit = VENUES["binance-usdm"].limits.weight_per_min
    scripted = Scripted(f"200 OK\nx-mbx-used-weight-1m: {limit}\n\n" + '{"serverTime":1780000000000}')
    async with scripted("binance-usdm") as rest:
        await rest.server_time()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(rest.server_time(), 0.2)
    assert len(scripted.asked) == 1


async def test_nobody_there_is_said_in_plain_words() -> None:
    async with simulated() as gone:
        url = gone.url
    async with rest_at(url) as rest:
        with pytest.raises(Unreachable, match="connection refused"):
            await rest.exchange_info()


async def test_tls_where_there_is_none_is_said_in_plain_words() -> None:
    async with simulated() as sim, rest_at(sim.url.replace("http://", "https://")) as rest:
        with pytest.raises(Unreachable, match="TLS failed"):
            await rest.exchange_info()


@pytest.mark.parametrize(
    ("name", "native"),
    [("binance", "BTCUSDT"), ("binance-usdm", "BTCUSDT"), ("binance-coinm", "BTCUSD_PERP")],
)
async def test_bars_come_oldest_first_and_only_the_last_one_runs(name: str, native: str) -> None:
    now_ms = time.time_ns() // 1_000_000
    async with simulated() as sim, rest_at(sim.url, name) as rest:
        bars = await rest.klines(native, 1, now_ms - 5 * 60_000, now_ms + 60_000, 1_000)
    assert [later.open_ms - bar.open_ms for bar, later in pairwise(bars)] == [60_000] * (len(bars) - 1)
    assert 5 <= len(bars) <= 6
    assert [bar.final for bar in bars[:-1]] == [True] * (len(bars) - 1)
    assert all(bar.low <= bar.open <= bar.high and bar.trades and bar.volume for bar in bars[:-1])
