"""Prices for the gateway under measurement, as a feed worker publishes them: every symbol in every batch.

    python -m bench.fanout.publisher NATS_URL RATE SYMBOLS

Registers the symbols and is then told what peers are told (`peers/rounds.py`). Meanwhile it sends a worker's
heartbeat, by which a gateway finds it, and answers who asks for a snapshot. The price of every symbol is the
microsecond of its batch.
"""

import asyncio
import sys

import numpy as np
import uvloop

from bench.fanout.peers.rounds import serve_rounds
from bench.fanout.watchlists import VENUE, instruments
from gateway.registry import Registry
from processors.bus import Bus, BusAddress, Endpoint, connect
from processors.shell import HEARTBEAT_S, now_us
from protocol import subjects
from protocol.batches import encode_batch
from protocol.events import Kind
from protocol.frames import LAYOUTS, encode_records

SHARD = 0


class Publisher:
    """One shard that has all symbols."""

    def __init__(self, bus: Bus, ids: list[int]) -> None:
        self._bus = bus
        self._epoch_us = now_us()
        self._sequence = 0
        self._records = np.zeros(len(ids), LAYOUTS[Kind.PRICE].dtype)
        self._records["symbol_id"] = ids
        self._records["flags"] = 1 << 8  # one change each
        self._records["volume"] = 1000.0 + np.arange(len(ids))

    async def publish(self) -> None:
        """Publish a new price of every symbol."""
        self._sequence += 1
        await self._bus.publish(subjects.wire(VENUE, SHARD), self._batch([self._frame(now_us())]))

    async def beat(self) -> None:
        """Publish empty batches, twice a second as feed workers do. Until cancelled."""
        while True:
            self._sequence += 1
            await self._bus.publish(subjects.wire(VENUE, SHARD), self._batch([]))
            await asyncio.sleep(HEARTBEAT_S)

    def snapshot(self, subject: str, payload: bytes) -> bytes:  # noqa: ARG002  # an Endpoint's signature
        return self._batch([self._frame(now_us())])

    def _frame(self, time_us: int) -> bytes:
        self._records["price"] = float(time_us)
        return encode_records(Kind.PRICE, self._records, time_us)

    def _batch(self, frames: list[bytes]) -> bytes:
        return encode_batch(self._epoch_us, self._sequence, now_us(), frames)


async def main(url: str, rate: float, symbols: int) -> None:
    async with connect(BusAddress([url]), "bench-publisher") as bus:
        registry = Registry(bus)
        await registry.open()
        listed = await registry.register(list(instruments(symbols)))
        publisher = Publisher(bus, [one.id for one in listed])
        snapshot = Endpoint("snapshot", subjects.request_snapshot(VENUE, SHARD), publisher.snapshot)
        await bus.serve("bench-publisher", "1.0.0", "prices for a benchmark", [snapshot], {})
        async with asyncio.TaskGroup() as tasks:
            beating = tasks.create_task(publisher.beat())
            await serve_rounds(rate, publisher.publish)
            beating.cancel()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
