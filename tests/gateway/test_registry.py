import asyncio

from gateway.registry import Registry
from processors.bus import BusAddress, connect
from protocol.symbols import Instrument


def instrument(native: str, venue: str = "binance") -> Instrument:
    return Instrument(symbol=native, venue=venue, native=native, price_precision=2)


async def test_an_id_is_given_once_and_kept(nats_url: str):
    async with connect(BusAddress([nats_url]), "test") as bus:
        first = Registry(bus)
        await first.open()
        (btc,) = await first.register([instrument("KEEPUSDT")])
        again = Registry(bus)
        await again.open()
        (same,) = await again.register([instrument("KEEPUSDT")])
    assert same.id == btc.id > 0
    assert again.table.find("KEEPUSDT") == btc


async def test_workers_that_register_at_the_same_time_agree(nats_url: str):
    wanted = [instrument(f"RACE{number}USDT") for number in range(30)]
    async with connect(BusAddress([nats_url]), "test") as bus:
        registries = [Registry(bus) for _ in range(4)]
        for registry in registries:
            await registry.open()
        given = await asyncio.gather(*(registry.register(wanted) for registry in registries))
    ids = [[one.id for one in listed] for listed in given]
    assert ids[0] == ids[1] == ids[2] == ids[3]
    assert len(set(ids[0])) == 30


async def test_a_reader_learns_of_new_symbols_by_refreshing(nats_url: str):
    async with connect(BusAddress([nats_url]), "test") as bus:
        reader, writer = Registry(bus), Registry(bus)
        await reader.open()
        await writer.open()
        await writer.register([instrument("新币USDT", "binance-usdm")])
        fresh = await reader.refresh()
    assert "新币USDT" in [one.native for one in fresh]
    assert reader.table.by_native("binance-usdm", "新币USDT") is not None


async def test_the_same_name_on_two_venues_is_two_symbols(nats_url: str):
    async with connect(BusAddress([nats_url]), "test") as bus:
        registry = Registry(bus)
        await registry.open()
        spot, future = await registry.register(
            [instrument("TWINUSDT"), instrument("TWINUSDT", "binance-usdm")]
        )
    assert spot.id != future.id
