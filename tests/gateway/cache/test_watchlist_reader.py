"""The watchlists in a real Redis, and what becomes of them when it goes away."""

from redis_servers import silent_server
from structlog.testing import capture_logs

from gateway.cache.watchlists import KEYS_A_STEP, WatchlistReader


async def test_what_is_on_any_watchlist_is_read(server):
    redis = await server.come()
    async with WatchlistReader(server.address) as reader:
        assert await reader.read() == frozenset()
        await redis.sadd("marketwatch:alice", "BTCUSDT", "BINANCE:ETHUSDT.P")
        await redis.sadd("marketwatch:bob", "BTCUSDT", "SOLUSDT")
        await redis.sadd("other:carol", "XRPUSDT")
        assert await reader.read() == {"BTCUSDT", "BINANCE:ETHUSDT.P", "SOLUSDT"}
        await redis.srem("marketwatch:bob", "SOLUSDT")
        assert await reader.read() == {"BTCUSDT", "BINANCE:ETHUSDT.P"}


async def test_thousands_of_watchlists_are_read(server):
    users = 3 * KEYS_A_STEP
    redis = await server.come()
    async with WatchlistReader(server.address) as reader:
        async with redis.pipeline(transaction=False) as pipeline:
            for user in range(users):
                pipeline.sadd(f"marketwatch:{user}", f"S{user}USDT")
            await pipeline.execute()
        assert await reader.read() == {f"S{user}USDT" for user in range(users)}


async def test_what_is_no_set_or_no_text_spoils_nothing(server):
    redis = await server.come()
    async with WatchlistReader(server.address) as reader:
        await redis.set("marketwatch:broken", "BTCUSDT")
        await redis.sadd("marketwatch:alice", b"\xff\xfe", "ETHUSDT")
        read = await reader.read()
    assert read is not None
    assert "ETHUSDT" in read
    assert len(read) == 2


async def test_redis_may_be_away_and_come_back(server):
    async with WatchlistReader(server.address) as reader:
        assert await reader.read() is None
        assert reader.is_down
        for _ in range(2):  # it comes, and goes again under a connection that was open
            redis = await server.come()
            await redis.sadd("marketwatch:alice", "BTCUSDT")
            assert await reader.read() == {"BTCUSDT"}
            assert not reader.is_down
            await server.go()
            assert await reader.read() is None


async def test_a_server_that_does_not_answer_is_not_waited_for():
    async with silent_server() as (address, _), WatchlistReader(address, timeout_s=0.1) as reader:
        assert await reader.read() is None


async def test_a_wrong_password_is_said_once(server):
    redis = await server.come()
    await redis.config_set("requirepass", "right")
    with capture_logs() as logs:
        async with WatchlistReader(server.address, "wrong") as reader:
            assert [await reader.read() for _ in range(3)] == [None, None, None]
    assert len(logs) == 1
    assert "password" in logs[0]["reason"]
    async with WatchlistReader(server.address, "right") as reader:
        assert await reader.read() == frozenset()
