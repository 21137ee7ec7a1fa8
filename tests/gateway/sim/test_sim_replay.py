"""Replay: captured lines come through the same wire, byte for byte, at their own pace."""

import gzip
import json
from pathlib import Path

import pytest

from gateway.sim.faults import Faults
from gateway.sim.market.symbols import Board
from gateway.sim.streams.listeners import Delivery
from gateway.sim.streams.replay import END_US, Replay, board_of, read_captured

CAPTURES = Path(__file__).parents[3].parent / "shared" / "data" / "binance-ws"
TRADE = '{"e":"trade","E":%d,"s":"BTCUSDT","t":%d,"p":"61837.64","q":"0.00100000","T":%d,"m":false,"M":true}'


def lines(count: int) -> str:
    said = (
        f"{1_723_161_254_000_000_000 + nth * 5_000_000} "
        f'{{"stream":"btcusdt@trade","data":{TRADE % (nth, 100 + nth, nth)}}}\n'
        for nth in range(count)
    )
    return '17231612541 {"lastUpdateId":1,"bids":[],"asks":[]}\n' + "".join(said)


@pytest.fixture(name="captured", params=["plain", "gzip"])
def captured_fixture(request, tmp_path) -> Path:
    path = tmp_path / ("captured.gz" if request.param == "gzip" else "captured.txt")
    path.write_bytes(gzip.compress(lines(50).encode()) if request.param == "gzip" else lines(50).encode())
    return path


async def test_a_captured_stream_is_played_again(exchange, captured):
    async with exchange(replay=captured) as desk, desk.listen("/stream?streams=btcusdt@trade") as ear:
        heard = await ear.hear_some(50)
    assert [message["data"]["t"] for message in heard] == list(range(100, 150))
    assert {message["stream"] for message in heard} == {"btcusdt@trade"}


@pytest.mark.parametrize("speed", [1.0, 4.0])
def test_the_pace_is_the_captured_one_times_the_speed(captured, speed):
    replay = Replay(captured, speed, Delivery(Faults(0)))
    replay.start(1_000_000)
    dues = []
    while replay.due_us != END_US:
        replay.run(replay.due_us)
        dues.append(replay.due_us)
    assert dues[:-1] == [1_000_000 + int(5000 * nth / speed) for nth in range(1, 50)]


async def test_what_the_file_does_not_have_comes_from_the_market(exchange, captured):
    async with exchange(replay=captured) as desk, desk.listen("/ws/ethusdt@trade") as ear:
        assert (await ear.hear())["s"] == "ETHUSDT"


async def test_faults_strike_replayed_messages_too(exchange, captured):
    async with exchange(replay=captured, replay_speed=10.0) as desk:
        await desk.http.post("/sim/faults", json={"kind": "duplicate"})
        async with desk.listen("/ws/btcusdt@trade") as ear:
            heard = [message["t"] for message in await ear.hear_some(100)]
    assert heard == [number for number in range(100, 150) for _ in range(2)]


@pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"no captured messages at {CAPTURES}")
@pytest.mark.parametrize(
    ("name", "board"),
    [
        ("spot-btcusdt-20240808.gz", Board.SPOT),
        ("usdm-btcusdt-20240808.gz", Board.USDM),
        ("coinm-btcusd_perp-20240808.gz", Board.COINM),
    ],
)
def test_real_captures_are_read_and_told_apart(name, board):
    captured = list(read_captured(CAPTURES / name))
    assert len(captured) > 30_000
    assert {one.board for one in captured} == {board}
    assert all(board_of(one.stream, one.payload) is board for one in captured[:10])


@pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"no captured messages at {CAPTURES}")
async def test_a_real_capture_is_served(exchange):
    path = CAPTURES / "usdm-btcusdt-20240808.gz"
    expected = [one.payload for one in read_captured(path) if one.stream == "btcusdt@trade"][:200]
    async with (
        exchange(replay=path, replay_speed=20.0) as desk,
        desk.listen("/fstream/public/ws/btcusdt@trade") as ear,
    ):
        heard = await ear.hear_some(200)
    assert heard == [json.loads(payload) for payload in expected]
