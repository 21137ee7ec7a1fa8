"""History up to a version, live from there: nothing is missing and nothing comes twice, whatever happens.

Clients come and go, batches are lost, the recorder restarts, answers come late and sockets are full, in any
order.
"""

import asyncio
import json
import random
import socket
from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from wire_recorder import MINUTE_MS, START_MS, Chart, WireRecorder, recording

from gateway.ws.candles.series import KEPT
from gateway.ws.endpoint import ClientLimits
from protocol.events import Candle, SeriesKey
from protocol.frames import decode_v2
from protocol.intervals import MINUTES, format_interval
from protocol.session import Limits

LIMITS = ClientLimits(Limits(messages_per_second=10_000, message_burst=10_000), max_buffer_bytes=4_096)


async def connect_tiny(rig) -> ClientConnection:
    """Open a v2 stream that takes little at a time, if nobody reads."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", rig.port))
    return await connect(rig.ws, sock=raw, subprotocols=["tickgate.v2"], max_queue=1, compression=None)


class Watcher:
    """A client with a chart: it loads the history, then resumes from its last version, again and again."""

    def __init__(
        self, rig, recorder: WireRecorder, symbols: list[str], intervals: list[int], chart: Chart
    ) -> None:
        self.chart = chart
        self.is_connected = False
        self._rig = rig
        self._recorder = recorder
        self.keys = [SeriesKey(rig.ids[symbol], interval) for symbol in symbols for interval in intervals]
        self._wish = {
            "type": "subscribe",
            "symbols": symbols,
            "kinds": ["candle"],
            "intervals": [format_interval(one) for one in intervals],
        }

    def load_history(self) -> None:
        """Take what an answer of the recorder would hold."""
        for key, bars in self._recorder.truth.items():
            for open_ms, (_, row) in bars.items():
                self.chart.bars[key, open_ms] = row
        self.chart.version = self._recorder.version

    def bars(self) -> dict[SeriesKey, dict[int, Candle]]:
        return {key: self.chart.series(key) for key in self.keys}

    async def come(self) -> None:
        self.chart.on_connected()
        self._client = await connect_tiny(self._rig)
        await self._client.send(json.dumps({**self._wish, "since_us": self.chart.version}))
        self.is_connected = True

    async def go(self) -> None:
        if self.is_connected:
            self.is_connected = False
            self._client.transport.abort()
            await self._client.wait_closed()

    async def read(self) -> None:
        """Read all that the gateway has written so far."""
        await self._client.send('{"type":"ping"}')
        async with asyncio.timeout(20):
            while True:
                message = await self._client.recv()
                if isinstance(message, bytes):
                    self.chart.on_frame(decode_v2(message))
                elif message == '{"type":"pong"}':
                    return
                else:
                    assert json.loads(message)["type"] == "symbols", message


class Market:
    """Changes bars at random: running ones move and become final, final ones are corrected."""

    def __init__(
        self, recorder: WireRecorder, keys: list[SeriesKey], draw: random.Random, most_bars: int
    ) -> None:
        self._most_bars = most_bars
        self._recorder = recorder
        self._symbols = {symbol_id: symbol for symbol, symbol_id in recorder.ids.items()}
        self._keys = keys
        self._draw = draw
        self._minute = dict.fromkeys(keys, 0)

    def move(self, most: int = 8) -> None:
        for key in self._draw.sample(self._keys, self._draw.randint(1, min(most, len(self._keys)))):
            self._change(key)

    def move_all(self) -> None:
        for key in self._keys:
            self._change(key)

    def _change(self, key: SeriesKey) -> None:
        what, minute = self._draw.random(), self._minute[key]
        if what < 0.6 or not minute:
            self._put(key, minute)
        if minute < self._most_bars and (what < 0.2 or not minute):
            self._put(key, minute, final=True)
            self._minute[key] += 1
        elif what >= 0.6:
            earlier = max(minute - self._draw.randint(1, 3), 0)
            before = self._recorder.bars(key)[START_MS + earlier * key.interval * MINUTE_MS]
            self._put(key, earlier, final=True, revision=before.revision + 1)

    def _put(self, key: SeriesKey, number: int, **more: Any) -> None:
        symbol, price = self._symbols[key.symbol_id], self._draw.random()
        self._recorder.change(symbol, number * key.interval, price, interval=key.interval, **more)


async def catch_up(watcher: Watcher, recorder: WireRecorder, market: Market) -> None:
    """Go on until the client states the newest version: then it has everything."""
    if not watcher.is_connected:
        await watcher.come()
    async with asyncio.timeout(30):
        while True:
            market.move_all()
            version = await recorder.publish()
            await recorder.bus.flush()
            for _ in range(5):
                await watcher.read()
                if watcher.chart.version == version:
                    return


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("most_bars", [KEPT - 1, 1_000], ids=["few bars", "many bars"])
async def test_a_chart_ends_with_the_truth(make_rig, nats_url, seed, most_bars):
    """Where more bars change than a gateway keeps, some may come again in the state that they had."""
    draw = random.Random(seed)
    symbols = [f"SEAM{seed}X{number}USDT" for number in range(4)]
    intervals = list(MINUTES.values())
    async with make_rig(symbols, LIMITS, send_buffer=4_096) as rig, recording(rig, nats_url) as recorder:
        keys = [SeriesKey(rig.ids[symbol], interval) for symbol in symbols for interval in intervals]
        market = Market(recorder, keys, draw, most_bars)
        market.move()
        await recorder.publish()
        watchers = [
            Watcher(rig, recorder, *wish, Chart(may_repeat=most_bars > KEPT))
            for wish in (
                (symbols[:3], intervals),
                (symbols[1:2], intervals[:2]),
                (symbols[2:], intervals[:5]),
            )
        ]
        async with AsyncExitStack() as stack:
            for watcher in watchers:
                watcher.load_history()
                stack.push_async_callback(watcher.go)
                market.move()
            for _ in range(120):
                await step(draw, draw.choice(watchers), recorder, market)
            recorder.gate.set()
            for watcher in watchers:
                await catch_up(watcher, recorder, market)
                assert watcher.bars() == {key: recorder.bars(key) for key in watcher.keys}


async def step(draw: random.Random, watcher: Watcher, recorder: WireRecorder, market: Market) -> None:
    if draw.random() < 0.3:
        recorder.gate.set()
    match draw.randint(0, 10):
        case 0 | 1 | 2:
            market.move()
            await recorder.publish(loses=draw.random() < 0.2)
        case 3 | 4:
            for _ in range(draw.randint(1, 12)):
                market.move_all()
                await recorder.publish(loses=draw.random() < 0.05)
        case 5:
            recorder.restart()
        case 6:
            recorder.gate.clear()
        case 7 | 8 if watcher.is_connected:
            await watcher.read()
        case 9 if watcher.is_connected:
            await watcher.go()
        case 10 if not watcher.is_connected:
            await watcher.come()
