"""Loss on the bus, made by not publishing what the feed's processor has encoded."""

import asyncio
import json

import httpx

from gateway.registry import Registry
from processors.shell import now_us
from protocol import subjects
from protocol.frames import decode_v1
from protocol.symbols import Instrument


async def stats(rig) -> dict:
    async with httpx.AsyncClient(base_url=rig.http) as http:
        return (await http.get("/stats")).json()


async def test_a_batch_lost_on_the_bus_is_noticed_and_healed(rig):
    btc, eth, _ = rig.ids
    async with rig.connect() as client:
        await client.send(json.dumps({"type": "subscribe", "symbols": [btc, eth]}))
        await client.recv()
        rig.trade(btc, 50.0)
        assert rig.shell.processor.take_batch(now_us())  # encoded, numbered, and lost
        seen = {}
        while rig.ids[btc] not in seen:  # no new trade of it: only the snapshot can bring it
            message = await asyncio.wait_for(client.recv(), 5)
            seen |= {row[0]: row[1] for row in decode_v1(message).tolist()}
    assert seen[rig.ids[btc]] == 50.0
    assert (await stats(rig))["batches_missed"] == 1


async def test_garbage_on_the_bus_is_counted_and_harms_nobody(rig):
    btc = next(iter(rig.ids))
    for garbage in (b"", b"x", b"\xff" * 100):
        await rig.bus.publish(subjects.wire(rig.venue, 0), garbage)
    await rig.prices_arrive(btc, 12.0)
    assert (await stats(rig))["batches_bad"] == 3


async def test_a_snapshot_sends_only_what_clients_do_not_have(rig):
    btc = next(iter(rig.ids))
    await rig.prices_arrive(btc, 12.0)
    async with rig.connect() as client:
        await client.send(json.dumps({"type": "subscribe", "symbols": [btc]}))
        await client.recv()
        await client.recv()
        before = (await stats(rig))["snapshots"]
        rig.shell.processor.heartbeat(now_us())  # numbered, and lost: nothing was in it
        while (await stats(rig))["snapshots"] == before:
            pass
        await client.send('{"type":"ping"}')
        assert await asyncio.wait_for(client.recv(), 5) == '{"type":"pong"}'


async def test_a_restarted_feed_goes_on_without_a_word_of_loss(rig):
    btc = next(iter(rig.ids))
    await rig.prices_arrive(btc, 12.0)
    rig.shell.processor.epoch_us += 1
    rig.shell.processor._sequence = 0  # a new process counts from one
    await rig.prices_arrive(btc, 13.0)
    assert (await stats(rig))["batches_missed"] == 0


async def test_a_symbol_that_is_listed_after_it_was_asked_for_is_served(rig):
    late = f"LATE{rig.port}USDT"
    async with rig.connect() as client:
        await client.send(json.dumps({"type": "subscribe", "symbols": [late]}))
        assert json.loads(await asyncio.wait_for(client.recv(), 5))["code"] == "unknown_symbol"
        registry = Registry(rig.bus)
        instrument = Instrument(symbol=late, venue=rig.venue, native=late, price_precision=2)
        (registered,) = await registry.register([instrument])
        (entry,) = json.loads(await asyncio.wait_for(client.recv(), 5))["symbols"]
        assert (entry["symbol"], entry["id"]) == (late, registered.id)
        rig.shell.processor.add_symbol(late, registered.id)
        rig.trade(late, 3.0)
        message = await asyncio.wait_for(client.recv(), 5)
        assert decode_v1(message).tolist() == [(registered.id, 3.0, 1.0)]
