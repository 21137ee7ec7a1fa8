"""A client that shares no code with tickgate: raw `websockets`, struct and zlib, written from SPEC.md."""

import json
import struct
import zlib

import pytest
from websockets.asyncio.client import connect

WANTED = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]


async def read_stream(url: str, version: int, frames: int) -> tuple[dict[int, dict], list[tuple[int, float]]]:
    """Subscribe, and return the dictionary and the (symbol id, price) pairs of so many frames."""
    dictionary, seen = {}, []
    async with connect(url, subprotocols=["tickgate.v2"] if version == 2 else None) as stream:
        await stream.send(json.dumps({"type": "subscribe", "symbols": WANTED}))
        while len(seen) < frames:
            message = await stream.recv()
            if isinstance(message, str):
                dictionary |= {entry["id"]: entry for entry in json.loads(message)["symbols"]}
                continue
            crc, count = struct.unpack_from("<IH", message)
            assert zlib.crc32(message[4:]) == crc
            if version == 1:
                assert len(message) == 6 + 18 * count
                records = [(r[0], r[1], r[2]) for r in struct.iter_unpack("<Hdd", message[6:])]
            else:
                assert message[6:8] == b"\x02\x01"
                assert len(message) == 16 + 24 * count
                records = [(r[0], r[3], r[4]) for r in struct.iter_unpack("<HHidd", message[16:])]
            assert all(symbol_id in dictionary and price > 0 < volume for symbol_id, price, volume in records)
            seen += [(symbol_id, price) for symbol_id, price, _ in records]
    return dictionary, seen


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("version", [1, 2])
async def test_a_raw_client_sees_what_it_subscribed_and_nothing_else(demo, version: int):
    dictionary, seen = await read_stream(demo.ws, version, frames=60)
    assert sorted(entry["symbol"] for entry in dictionary.values()) == sorted(WANTED)
    assert all(entry["simulated"] for entry in dictionary.values())
    assert {symbol_id for symbol_id, _ in seen} == set(dictionary)
