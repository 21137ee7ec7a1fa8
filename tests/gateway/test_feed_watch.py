"""What a gateway knows of the feed workers: asked of a real one, on a real bus."""

import asyncio

import msgspec
import pytest
from websockets.asyncio.server import ServerConnection, serve

from gateway.config.load import load_settings
from gateway.feed_watch import ConnectionReport, FeedHealth, FeedReport, FeedWatch, Trouble, summarize
from gateway.roles import feed
from gateway.sim.server import SimOptions, SimulatedExchange
from processors.bus import BusAddress, Endpoint, connect
from protocol import subjects

NOW_US = 1_780_000_000_000_000


def report(*connections: ConnectionReport) -> FeedReport:
    return FeedReport("binance", 0, list(connections))


def test_connections_that_deliver_are_no_trouble():
    said = summarize(report(ConnectionReport("aggTrade-0", "wss://a", "live", NOW_US - 5_000)), NOW_US)
    assert said == FeedHealth("binance", 0, True, 1, 1, 5)
    assert said.is_well


@pytest.mark.parametrize(
    ("connection", "cause"),
    [
        (ConnectionReport("a", "wss://a", "live", mute="acked but no data: …"), "acked but no data: …"),
        (ConnectionReport("a", "wss://a", "backing off", last_error="no route"), "no route"),
        (ConnectionReport("a", "wss://a", "connecting"), "not connected yet"),
        (
            ConnectionReport("a", "wss://a", "live", rejected={"x@aggTrade": "no"}),
            "x@aggTrade is refused: no",
        ),
    ],
)
def test_a_connection_that_does_not_deliver_is_named_with_its_address_and_cause(connection, cause):
    said = summarize(report(connection), NOW_US)
    assert said.troubles == (Trouble("a", "wss://a", connection.phase, cause),)
    assert not said.is_well


def test_a_few_silent_symbols_are_no_trouble():
    quiet = ConnectionReport("a", "wss://a", "live", NOW_US, mute="silent after data: nothing from X for 9 s")
    assert summarize(report(quiet), NOW_US).is_well


async def until_known(watch: FeedWatch, is_known) -> FeedHealth:
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watch.run())
        while not (watch.feeds and is_known(watch.feeds[0])):  # noqa: ASYNC110  # it has no event to wait for
            await asyncio.sleep(0.01)
        running.cancel()
    return watch.feeds[0]


async def test_a_worker_that_does_not_answer_is_not_well(nats_url):
    async with connect(BusAddress([nats_url]), "test") as bus:
        watch = FeedWatch(bus, lambda: [subjects.wire("nobody", 3)])
        assert await until_known(watch, lambda _: True) == FeedHealth("nobody", 3, answers=False)


async def test_an_answer_that_makes_no_sense_is_like_none(nats_url):
    async with connect(BusAddress([nats_url]), "test") as bus:
        nonsense = Endpoint("feed", subjects.request_feed("odd", 0), lambda *_: msgspec.json.encode([1]))
        await bus.serve("test-odd", "1.0.0", "nonsense", [nonsense], {})
        watch = FeedWatch(bus, lambda: [subjects.wire("odd", 0)])
        assert not (await until_known(watch, lambda _: True)).answers


async def test_an_address_that_acknowledges_and_delivers_nothing_is_named(nats_url):
    async def mute(client: ServerConnection) -> None:
        async for message in client:
            await client.send(msgspec.json.encode({"result": None, "id": msgspec.json.decode(message)["id"]}))

    async with (
        SimulatedExchange(SimOptions(symbols=1)) as sim,
        serve(mute, "127.0.0.1", 0) as dead,
        connect(BusAddress([nats_url]), "test") as bus,
    ):
        port = next(iter(dead.sockets)).getsockname()[1]
        settings = load_settings(
            None,
            {
                "NATS_URL": nats_url,
                "EXCHANGE_VENUES": "binance-usdm",
                "EXCHANGE_USDM_WS_ENDPOINT": f"ws://127.0.0.1:{port}",
                "EXCHANGE_USDM_REST_ENDPOINT": sim.url,
                "EXCHANGE_SYMBOLS": "all",
            },
            {},
        )
        stop = asyncio.Event()
        role = asyncio.create_task(feed.run(settings, 0, 1, stop))
        watch = FeedWatch(bus, lambda: [subjects.wire("binance-usdm", 0)])
        try:
            known = await until_known(watch, lambda one: any("no data" in t.cause for t in one.troubles))
        finally:
            stop.set()
            await asyncio.wait_for(role, 10)
    assert all(trouble.url.startswith(f"ws://127.0.0.1:{port}/") for trouble in known.troubles)
