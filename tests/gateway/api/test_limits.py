"""How often a client may ask, over the caches that gateways use."""

from pathlib import Path

import pytest
from fleet import redis_server

from gateway.api.limits import MOST_REFUSED, Rate, RequestLimits, TooManyRequests
from gateway.api.operations import Limit
from gateway.cache.memory import MemoryCache
from gateway.cache.open import open_cache
from gateway.processes.ports import find_free_port

RATES = {Limit.MARKET: Rate(8, 3), Limit.HISTORY: Rate(0, 1), Limit.ACCOUNT: Rate(0.1, 1)}


class Clock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


async def spend(limits: RequestLimits, limit: Limit, client: str, times: int) -> float:
    """Ask so often; return how long to wait after the last, 0 if it was fine."""
    wait_s = 0.0
    for _ in range(times):
        try:
            await limits.spend(limit, client)
        except TooManyRequests as error:
            wait_s = error.retry_after_s
    return wait_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits(clock: Clock) -> RequestLimits:
    return RequestLimits(MemoryCache(now_s=clock), RATES, clock)


async def test_a_client_may_ask_so_often_at_once_and_then_at_its_rate(limits, clock):
    assert await spend(limits, Limit.MARKET, "a", 3) == 0
    assert await spend(limits, Limit.MARKET, "a", 1) == pytest.approx(0.125)
    clock.now_s += 0.125
    assert await spend(limits, Limit.MARKET, "a", 1) == 0
    assert await spend(limits, Limit.MARKET, "a", 1) > 0
    assert limits.refused == 2


async def test_each_client_and_each_kind_of_request_has_its_own(limits):
    assert await spend(limits, Limit.MARKET, "a", 4) > 0
    assert await spend(limits, Limit.MARKET, "b", 3) == 0
    assert await spend(limits, Limit.ACCOUNT, "a", 1) == 0


async def test_a_rate_of_0_is_no_limit(limits):
    assert await spend(limits, Limit.HISTORY, "a", 1_000) == 0


async def test_a_limit_without_a_rate_is_none():
    limits = RequestLimits(MemoryCache(), {})
    assert await spend(limits, Limit.ACCOUNT, "a", 1_000) == 0


async def test_who_is_refused_is_told_when_to_come_again(limits, clock):
    await limits.spend(Limit.ACCOUNT, "a")
    with pytest.raises(TooManyRequests, match="too many account requests: come again in 10 s") as refused:
        await limits.spend(Limit.ACCOUNT, "a")
    assert refused.value.status == 429
    clock.now_s += refused.value.retry_after_s + 0.001
    await limits.spend(Limit.ACCOUNT, "a")


async def test_to_go_on_asking_makes_nothing_worse(limits, clock):
    await spend(limits, Limit.ACCOUNT, "a", 1)
    first = await spend(limits, Limit.ACCOUNT, "a", 1)
    clock.now_s += 4
    assert await spend(limits, Limit.ACCOUNT, "a", 500) == pytest.approx(first - 4)


async def test_who_is_refused_is_not_looked_up_again_before_its_time(clock):
    cache = MemoryCache(now_s=clock)
    limits = RequestLimits(cache, RATES, clock)
    assert await spend(limits, Limit.ACCOUNT, "a", 2) > 0
    await cache.forget("limit:account:a")
    assert await spend(limits, Limit.ACCOUNT, "a", 1) > 0
    clock.now_s += 10.001
    assert await spend(limits, Limit.ACCOUNT, "a", 1) == 0


async def test_thousands_of_refused_clients_are_not_remembered_for_ever(limits):
    for number in range(MOST_REFUSED + 10):
        await spend(limits, Limit.ACCOUNT, str(number), 2)
    assert len(limits._empty_until_s) == MOST_REFUSED


async def test_gateways_that_share_a_redis_share_the_limits(tmp_path: Path):
    port = find_free_port()
    async with (
        redis_server(tmp_path, port),
        open_cache(f"127.0.0.1:{port}") as one,
        open_cache(f"127.0.0.1:{port}") as other,
    ):
        assert await spend(RequestLimits(one, RATES), Limit.ACCOUNT, "a", 1) == 0
        assert await spend(RequestLimits(other, RATES), Limit.ACCOUNT, "a", 1) > 0
