import asyncio
import gzip
import json

import httpx
import pytest
from recorder_at_the_wire import make_bars, minutes_ago, subscribed

from gateway.api.bars import plan_window
from gateway.api.params import BadParameter
from gateway.history.questions import MAX_WINDOW_BARS
from protocol import subjects
from protocol.demand import parse_demand
from protocol.events import CandleFlag
from protocol.intervals import MINUTES


async def test_bars_come_in_the_shape_of_the_seed_with_what_a_stream_goes_on_from(charted):
    bars = charted.truth
    at = (bars["open_ms"] // 1000).tolist()
    answer = await charted.get(
        f"/api/v1/symbols/{charted.symbol}/bars", resolution="1m", from_=at[10], to=at[12]
    )
    body = answer.json()
    assert body["bars"] == [
        {
            "time": at[place],
            "open": bars["open"][place],
            "high": bars["high"][place],
            "low": bars["low"][place],
            "close": bars["close"][place],
            "volume": bars["volume"][place],
        }
        for place in (10, 11)
    ]
    assert (body["symbol"], body["resolution"], body["simulated"]) == (charted.symbol, "1m", True)
    assert body["as_of_us"] == charted.recorder.version
    assert answer.headers["x-tickgate-as-of"] == str(body["as_of_us"])


async def test_the_running_bar_comes_with_its_last_trade(charted):
    charted.recorder.last_id = 99
    path = f"/api/v1/symbols/BINANCE:{charted.symbol}/bars"
    body = (await charted.get(path, resolution="1m", countback=2)).json()
    assert [one["close"] for one in body["bars"]] == charted.truth["close"][-2:].tolist()
    assert body["last_id"] == 99


async def test_without_a_window_the_newest_bars_come(charted):
    path = f"/api/v1/symbols/{charted.symbol}/bars"
    assert len((await charted.get(path, resolution="1m")).json()["bars"]) == 300
    assert len((await charted.get(path, resolution="1m", countback=1_000)).json()["bars"]) == 1_000


async def test_volumes_are_on_the_grid_of_lots(charted):
    open_ms = int(charted.truth["open_ms"][5])
    charted.recorder.change(charted.symbol, 1, open_ms, volume=0.1 + 0.2)
    path = f"/api/v1/symbols/{charted.symbol}/bars"
    at_s = open_ms // 1000
    bars = (await charted.get(path, resolution="1m", from_=at_s, to=at_s + 1)).json()["bars"]
    assert bars[0]["volume"] == 0.3


async def test_candles_are_rows_as_tradingchart_serves_them(charted):
    bars = charted.truth
    answer = await charted.get("/api/v1/candles", symbol=charted.symbol, interval="1m", limit=3)
    body = answer.json()
    assert (body["symbol"], body["interval"]) == (charted.symbol, "1m")
    names = ("open_ms", "open", "high", "low", "close", "volume")
    assert body["data"] == [[bars[name][place].item() for name in names] for place in (-3, -2, -1)]
    assert "x-tickgate-as-of" in answer.headers


async def test_candles_default_to_600_and_go_up_to_5000(charted):
    charted.recorder.hold(charted.symbol, 1, make_bars(minutes_ago(5_499), 5_500))
    for params, expected in (({}, 600), ({"limit": 5_000}, 5_000)):
        body = (await charted.get("/api/v1/candles", symbol=charted.symbol, interval="1m", **params)).json()
        assert len(body["data"]) == expected


async def test_candles_of_a_window_are_the_newest_in_it(charted):
    at = charted.truth["open_ms"].tolist()
    for params, expected in (
        ({"start": at[10], "end": at[12]}, at[10:13]),
        ({"startTime": at[10], "endTime": at[12], "limit": 2}, at[11:13]),
        ({"from": at[2_997]}, at[2_997:]),
        ({"start": at[2_999] + 1}, []),
        ({"start": 0, "end": at[1]}, at[:2]),
    ):
        params = {"pair": charted.symbol, "tf": "1m", **params}
        body = (await charted.get("/api/v1/candles", **params)).json()
        assert [row[0] for row in body["data"]] == expected


async def test_intervals_are_listed_for_all_and_for_one(charted):
    assert (await charted.get("/api/v1/intervals")).json() == {"intervals": list(MINUTES)}
    body = (await charted.get("/api/v1/intervals", symbol=charted.symbol.lower())).json()
    assert body == {"symbol": charted.symbol, "intervals": list(MINUTES)}


async def test_a_wrong_parameter_of_bars_is_refused_by_name(charted):
    for params, named in (
        ({}, "resolution"),
        ({"resolution": "1h "}, "resolution"),
        ({"resolution": "1D"}, "resolution"),
        ({"resolution": "1m", "from": "yesterday"}, "from"),
        ({"resolution": "1m", "from": "nan"}, "from"),
        ({"resolution": "1m", "from": "1780000000000"}, "from"),
        ({"resolution": "1m", "from": "9" * 30}, "from"),
        ({"resolution": "1m", "to": "१"}, "to"),
        ({"resolution": "1m", "from": "20", "to": "10"}, "from"),
        ({"resolution": "1m", "countback": "0"}, "countback"),
        ({"resolution": "1m", "countback": str(MAX_WINDOW_BARS + 1)}, "countback"),
        ({"resolution": "1m", "limit": "5"}, "limit"),
    ):
        answer = await charted.get(f"/api/v1/symbols/{charted.symbol}/bars", **params)
        assert answer.status_code == 400
        assert (answer.json()["error"], answer.json()["parameter"]) == ("bad_parameter", named)


async def test_a_wrong_parameter_of_candles_is_refused_by_name(charted):
    for params, named in (
        ({"limit": "5001"}, "limit"),
        ({"start": "1780000000"}, "start"),
        ({"end": "-1"}, "end"),
        ({"start": "1780000000001", "end": "1780000000000"}, "start"),
        ({"startTime": "0", "start": "0"}, "start"),
        ({"interval": "1s"}, "interval"),
        ({"color": "red"}, "color"),
    ):
        answer = await charted.get("/api/v1/candles", **{"symbol": charted.symbol, "interval": "1m"} | params)
        assert (answer.status_code, answer.json()["parameter"]) == (400, named)


async def test_years_far_away_are_empty_and_not_an_error(charted):
    path = f"/api/v1/symbols/{charted.symbol}/bars"
    for window in ({"from_": -(10**10), "to": 0}, {"from_": 2**31, "to": 2**33}):
        answer = await charted.get(path, resolution="1m", **window)
        assert (answer.status_code, answer.json()["bars"]) == (200, [])


async def test_a_window_of_too_many_bars_is_refused(charted):
    count = MAX_WINDOW_BARS + 3_000
    charted.recorder.hold(charted.symbol, 1, make_bars(minutes_ago(count - 1), count))
    path = f"/api/v1/symbols/{charted.symbol}/bars"
    answer = await charted.get(path, resolution="1m", from_=0)
    assert (answer.status_code, answer.json()["error"]) == (400, "window_too_long")


async def test_an_unknown_symbol_is_404(charted):
    for answer in (
        await charted.get("/api/v1/symbols/NOSUCH/bars", resolution="1m"),
        await charted.get("/api/v1/candles", symbol="NOSUCH", interval="1m"),
        await charted.get("/api/v1/intervals", symbol="NOSUCH"),
    ):
        assert (answer.status_code, answer.json()["error"]) == (404, "unknown_symbol")


async def test_no_history_is_503_with_a_reason_and_never_an_empty_answer(rig):
    symbol = next(iter(rig.ids))
    async with httpx.AsyncClient(base_url=rig.http) as http:
        answer = await http.get(f"/api/v1/symbols/{symbol}/bars", params={"resolution": "1m"})
    assert (answer.status_code, answer.json()["error"]) == (503, "history_unavailable")
    assert "request.bars" in answer.json()["message"]
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["cache-control"] == "no-store"


async def test_the_same_bars_are_answered_304_until_one_changes(charted):
    path = f"/api/v1/symbols/{charted.symbol}/bars"
    first = await charted.get(path, resolution="1m", countback=10)
    known = {"If-None-Match": f'"other", {first.headers["etag"]}'}
    again = await charted.http.get(path, params={"resolution": "1m", "countback": 10}, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    last_ms = int(charted.truth["open_ms"][-1])
    await charted.recorder.announce(charted.symbol, 1, last_ms, close=1.25)
    async with asyncio.timeout(5):
        changed = again
        while changed.status_code == 304:
            params = {"resolution": "1m", "countback": 10}
            changed = await charted.http.get(path, params=params, headers=known)
    assert changed.json()["bars"][-1]["close"] == 1.25
    assert changed.headers["etag"] != first.headers["etag"]


async def test_settled_windows_may_be_cached_and_running_ones_not(charted):
    at = (charted.truth["open_ms"] // 1000).tolist()
    path = f"/api/v1/symbols/{charted.symbol}/bars"
    settled = await charted.get(path, resolution="1m", from_=at[10], to=at[20])
    running = await charted.get(path, resolution="1m", from_=at[10])
    assert settled.headers["cache-control"] == "public, max-age=60"
    assert running.headers["cache-control"] == "no-cache"


async def test_long_answers_are_packed_for_those_who_can_read_it(charted):
    path, params = "/api/v1/candles", {"symbol": charted.symbol, "interval": "1m"}
    plain = await charted.http.get(path, params=params, headers={"Accept-Encoding": "identity"})
    refused = await charted.http.get(path, params=params, headers={"Accept-Encoding": "br, gzip;q=0"})
    assert "content-encoding" not in {*plain.headers, *refused.headers}
    async with charted.http.stream("GET", path, params=params, headers={"Accept-Encoding": "gzip"}) as packed:
        raw = b"".join([part async for part in packed.aiter_raw()])
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == plain.headers["vary"]
    assert packed.headers["vary"].startswith("Accept-Encoding")
    assert json.loads(gzip.decompress(raw)) == plain.json()
    assert len(raw) < len(plain.content) / 2
    short = await charted.http.get(path, params=params | {"limit": 5}, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in short.headers


async def test_a_correction_shows_in_a_window_that_was_answered_before(charted):
    open_ms = int(charted.truth["open_ms"][7])
    path = f"/api/v1/symbols/{charted.symbol}/bars"
    window = {"resolution": "1m", "from_": open_ms // 1000, "to": open_ms // 1000 + 1}
    await charted.get(path, **window)
    await charted.recorder.announce(
        charted.symbol, 1, open_ms, close=3.5, revision=1, flags=int(CandleFlag.FINAL)
    )
    async with asyncio.timeout(5):
        while (await charted.get(path, **window)).json()["bars"][0]["close"] != 3.5:
            pass


def test_a_window_is_planned_from_what_is_given():
    given = {"from": None, "to": None, "countback": None}
    assert plan_window(given, 5_000) == (5_001, 5_001, 300)
    assert plan_window(given | {"from": 2, "to": 4}, 5_000) == (2_000, 4_000, 0)
    assert plan_window(given | {"from": 2, "countback": 9}, 5_000) == (2_000, 5_001, 9)
    assert plan_window(given | {"from": 4, "to": 4}, 5_000) == (4_000, 4_000, 0)
    with pytest.raises(BadParameter, match="from is after to"):
        plan_window(given | {"from": 5, "to": 4}, 5_000)


async def test_what_a_chart_goes_on_asking_for_is_demanded_as_if_it_were_watched(rig, charted):
    heard = asyncio.Queue()
    await rig.bus.subscribe(subjects.CONTROL_SYMBOLS, lambda _, payload: heard.put_nowait(payload))
    await subscribed(rig.bus)
    await charted.get(f"/api/v1/symbols/{charted.symbol}/bars", resolution="1m")
    async with asyncio.timeout(5):
        while parse_demand(await heard.get()).wants.get(rig.venue) != [charted.symbol]:
            pass
