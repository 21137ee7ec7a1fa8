"""Compact prices of a running gateway, over real sockets."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

from websockets.asyncio.client import ClientConnection

from clients.stream import Stream
from protocol.compact import Bases
from protocol.events import Compact, Kind
from protocol.frames import Frame, decode_v2


async def ask(client: ClientConnection, *symbols: str, **more: Any) -> None:
    await client.send(json.dumps({"type": "subscribe", "symbols": symbols, "kinds": ["compact"], **more}))


async def text(client: ClientConnection) -> dict[str, Any]:
    message = await asyncio.wait_for(client.recv(), 10)
    assert isinstance(message, str), f"a text message was due, not {message!r}"
    return json.loads(message)


async def frame(client: ClientConnection) -> Frame:
    message = await asyncio.wait_for(client.recv(), 10)
    assert isinstance(message, bytes), f"a frame was due, not {message!r}"
    return decode_v2(message)


async def prices(client: ClientConnection, bases: Bases) -> list[tuple[int, float, float]]:
    """Read up to the next COMPACT frame and return what it says."""
    while (one := await frame(client)).kind is Kind.BASE:
        bases.update(one.records)
    assert one.kind is Kind.COMPACT
    return bases.prices(one.records).tolist()


async def test_what_changes_comes_as_a_base_once_and_then_in_seven_bytes(rig):
    btc = next(iter(rig.ids))
    async with rig.connect(2) as client:
        await ask(client, btc)
        await text(client)
        rig.trade(btc, 101.5, 3.0)
        bases = Bases()
        assert await prices(client, bases) == [(rig.ids[btc], 101.5, 3.0)]
        rig.trade(btc, 101.25, 0.00000001)
        later = await frame(client)
        assert (later.kind, later.rows()) == (Kind.COMPACT, [Compact(rig.ids[btc], -25, 1)])
        assert bases.prices(later.records).tolist() == [(rig.ids[btc], 101.25, 3.00000001)]


async def test_whoever_subscribes_gets_base_and_value_at_once(rig):
    btc, eth, _ = rig.ids
    await rig.prices_arrive(btc, 7.5)
    async with rig.connect(2) as client, rig.connect(2) as other:
        await ask(client, btc, eth)
        await text(client)
        bases = Bases()
        assert [row[:2] for row in await prices(client, bases)] == [(rig.ids[btc], 7.5)]
        rig.trade(btc, 7.51, 0.00000001)
        assert [row[:2] for row in await prices(client, bases)] == [(rig.ids[btc], 7.51)]
        await ask(other, btc)
        await text(other)
        assert [row[:2] for row in await prices(other, Bases())] == [(rig.ids[btc], 7.51)]


async def test_the_client_gets_the_prices_that_it_would_get_otherwise(rig):
    btc = next(iter(rig.ids))
    await rig.prices_arrive(btc, 7.5)
    async with (
        Stream(rig.ws, [btc], kinds=["compact"]) as compact,
        Stream(rig.ws, [btc]) as stream,
        asyncio.timeout(10),
        aclosing(aiter(compact)) as ours,
        aclosing(aiter(stream)) as others,
    ):
        for _ in range(3):
            update, other = await anext(ours), await anext(others)
            assert (update.symbol, update.price, update.volume) == (other.symbol, other.price, other.volume)
            rig.trade(btc, update.price + 0.25, 0.00000001)


async def test_prices_and_compact_prices_stand_each_alone(rig):
    btc = next(iter(rig.ids))
    async with rig.connect(2) as client:
        await ask(client, btc, kinds=["compact", "price"])
        await text(client)
        rig.trade(btc, 101.5)
        assert [(await frame(client)).kind for _ in range(3)] == [Kind.PRICE, Kind.BASE, Kind.COMPACT]


async def test_the_first_version_has_none(rig):
    btc = next(iter(rig.ids))
    async with rig.connect() as client:
        await ask(client, btc)
        assert (await text(client))["code"] == "unsupported_kind"
