"""`/udf/history`, row by row of what users of such servers ran into."""

import asyncio

import httpx
import numpy as np
from recorder_at_the_wire import make_bars, minutes_ago

from gateway.api.udf.resolutions import ACCEPTED, RESOLUTIONS
from gateway.history.questions import MAX_WINDOW_BARS
from protocol.bars import no_bars
from protocol.intervals import MINUTES

NOW_AND_LATER_S = 2**33


def seconds(bars) -> list[int]:
    return (bars["open_ms"] // 1000).tolist()


async def test_a_window_comes_as_columns_of_numbers(charted):
    bars = charted.truth[10:20]
    answer = await charted.history(from_=seconds(bars)[0], to=seconds(bars)[-1] + 1, countback=5)
    assert answer == {
        "s": "ok",
        "t": seconds(bars),
        "o": bars["open"].tolist(),
        "h": bars["high"].tolist(),
        "l": bars["low"].tolist(),
        "c": bars["close"].tolist(),
        "v": bars["volume"].tolist(),
    }


async def test_to_is_heeded_so_that_older_pages_are_older(charted):
    at = seconds(charted.truth)
    answer = await charted.history(from_=at[100], to=at[200], countback=100)
    assert answer["t"] == at[100:200]


async def test_from_is_inclusive_and_to_is_not(charted):
    at = seconds(charted.truth)
    assert (await charted.history(from_=at[10], to=at[13]))["t"] == at[10:13]
    assert (await charted.history(from_=at[10] + 1, to=at[13] + 1))["t"] == at[11:14]


async def test_countback_outranks_from(charted):
    at = seconds(charted.truth)
    assert (await charted.history(from_=at[190], to=at[200], countback=50))["t"] == at[150:200]


async def test_a_window_wider_than_countback_is_not_cut_to_it(charted):
    at = seconds(charted.truth)
    assert (await charted.history(from_=at[0], to=at[1_500], countback=10))["t"] == at[:1_500]


async def test_twenty_thousand_bars_come_in_one_answer(charted):
    charted.recorder.hold(charted.symbol, 1, make_bars(minutes_ago(19_999), 20_000))
    answer = await charted.history(from_=0, to=NOW_AND_LATER_S, countback=20_000)
    assert answer["t"] == seconds(charted.truth)


async def test_a_countback_beyond_all_measure_gets_what_there_is(charted):
    answer = await charted.history(from_=0, to=NOW_AND_LATER_S, countback=10**9)
    assert answer["t"] == seconds(charted.truth)


async def test_a_window_that_is_too_long_is_an_error_and_not_cut(charted):
    count = MAX_WINDOW_BARS + 3_000
    charted.recorder.hold(charted.symbol, 1, make_bars(minutes_ago(count - 1), count))
    answer = await charted.history(from_=0, to=NOW_AND_LATER_S)
    assert answer["s"] == "error"
    assert "in parts" in answer["errmsg"]


async def test_the_running_bar_is_in_a_window_that_ends_in_the_future(charted):
    answer = await charted.history(from_=seconds(charted.truth)[-5], to=NOW_AND_LATER_S, countback=5)
    assert answer["t"] == seconds(charted.truth)[-5:]


async def test_a_pulse_at_a_rollover_has_the_last_bar_and_the_one_before(charted):
    at = seconds(charted.truth)
    new_ms = (at[-1] + 60) * 1000
    await charted.recorder.announce(charted.symbol, 1, new_ms, open=5.0, high=5.0, low=5.0, close=5.0)
    answer = await charted.history(from_=at[-1] - 600, to=at[-1] + 61, countback=2)
    assert answer["t"][-2:] == [at[-1], at[-1] + 60]
    assert answer["c"][-1] == 5.0


async def test_a_single_bar_comes_with_the_one_before_it(charted):
    at = seconds(charted.truth)
    for countback in ({}, {"countback": 1}):
        assert (await charted.history(from_=at[10], to=at[11], **countback))["t"] == at[9:11]
    assert (await charted.history(from_=at[0], to=at[1], countback=1))["t"] == at[:1]


async def test_no_data_is_the_end_of_history(charted):
    at = seconds(charted.truth)
    assert await charted.history(from_=0, to=at[0], countback=300) == {"s": "no_data"}
    assert await charted.history(from_=0, to=at[0]) == {"s": "no_data"}


async def test_a_symbol_without_any_bar_has_no_data(charted):
    charted.recorder.hold(charted.symbol, 1, no_bars())
    assert await charted.history(from_=0, to=NOW_AND_LATER_S, countback=300) == {"s": "no_data"}


async def test_an_empty_window_without_countback_says_in_seconds_where_history_goes_on(charted):
    bars = charted.truth
    holed = np.concatenate([bars[:100], bars[2_000:]])
    charted.recorder.hold(charted.symbol, 1, holed)
    at = seconds(bars)
    answer = await charted.history(from_=at[500], to=at[600])
    assert answer == {"s": "no_data", "nextTime": at[99]}


async def test_an_empty_window_with_countback_is_filled_from_before_it(charted):
    bars = charted.truth
    charted.recorder.hold(charted.symbol, 1, np.concatenate([bars[:100], bars[2_000:]]))
    at = seconds(bars)
    assert (await charted.history(from_=at[500], to=at[600], countback=30))["t"] == at[70:100]


async def test_a_thin_symbol_costs_a_handful_of_questions(charted):
    thin = make_bars(minutes_ago(300 * 1_440), 300, 1_440)
    charted.recorder.hold(charted.symbol, 1, thin)
    at = seconds(thin)
    answer = await charted.history(from_=at[-1] - 18_000, to=at[-1] + 60, countback=300)
    assert answer["t"] == at
    assert len(charted.recorder.asked) <= 3


async def test_every_resolution_is_served_with_bars_at_their_opening(charted):
    for resolution, interval in ACCEPTED.items():
        bars = make_bars(1_700_000_000_000 // (interval * 60_000) * interval * 60_000, 5, interval)
        charted.recorder.hold(charted.symbol, interval, bars)
        answer = await charted.history(resolution=resolution, to=seconds(bars)[-1] + 1, countback=3)
        assert answer["t"] == seconds(bars)[-3:]
        assert interval in {query.interval for query in charted.recorder.asked}


def test_resolutions_are_our_intervals_and_a_month_is_no_minute():
    assert sorted(RESOLUTIONS.values()) == sorted(MINUTES.values())
    assert (ACCEPTED["1"], ACCEPTED["1M"], ACCEPTED["M"]) == (1, 43_200, 43_200)
    assert "1m" not in ACCEPTED


async def test_old_clients_without_countback_and_others_without_from_are_served(charted):
    at = seconds(charted.truth)
    assert (await charted.history(from_=at[10], to=at[20]))["t"] == at[10:20]
    assert (await charted.history(to=at[20], countback=5))["t"] == at[15:20]
    assert (await charted.history(symbol=charted.symbol, to=at[20], countback=5))["t"] == at[15:20]


async def test_what_clients_add_is_ignored_and_fractions_are_dropped(charted):
    at = seconds(charted.truth)
    answer = await charted.history(
        from_=f"{at[10]}.75", to=at[20], countback=10, currencyCode="USDT", unitId="", _=1
    )
    assert answer["t"] == at[10:20]


async def test_an_error_has_a_status_and_a_reason_in_words(charted):
    for params, status, word in (
        ({"symbol": "NOSUCH"}, 404, "unknown_symbol"),
        ({"symbol": ""}, 404, "unknown_symbol"),
        ({"resolution": "1m"}, 400, "resolution"),
        ({"resolution": "45"}, 400, "resolution"),
        ({"resolution": ""}, 400, "resolution"),
        ({"from": "[object Object]"}, 400, "from"),
        ({"from": "NaN"}, 400, "from"),
        ({"from": "1780000000000"}, 400, "from"),
        ({"to": "1e5"}, 400, "to"),
        ({"to": "9" * 40}, 400, "to"),
        ({"from": "200", "to": "100"}, 400, "from"),
        ({"countback": "-1"}, 400, "countback"),
        ({"countback": "many"}, 400, "countback"),
    ):
        whole = {"symbol": charted.symbol, "resolution": "1", "from": "100", "to": "200", "countback": "5"}
        answer = await charted.http.get("/udf/history", params=whole | params)
        assert (answer.status_code, answer.json()["s"]) == (status, "error")
        assert word in answer.json()["errmsg"]
        assert answer.headers["access-control-allow-origin"] == "*"


async def test_a_missing_parameter_is_an_error(charted):
    for missing in ("symbol", "resolution"):
        whole = {"symbol": charted.symbol, "resolution": "1", "from": "100", "to": "200"}
        del whole[missing]
        answer = await charted.http.get("/udf/history", params=whole)
        assert (answer.status_code, answer.json()) == (400, {"s": "error", "errmsg": f"{missing} is needed"})


async def test_neither_from_nor_countback_is_an_error(charted):
    answer = await charted.history(to=100)
    assert answer["s"] == "error"


async def test_years_beyond_int32_are_the_future(charted):
    at = seconds(charted.truth)
    assert (await charted.history(from_=2**31, to=10**11, countback=3))["t"] == at[-3:]
    assert await charted.history(from_=2**31, to=10**11) == {"s": "no_data", "nextTime": at[-1]}
    assert await charted.history(from_=-(10**11), to=-1, countback=3) == {"s": "no_data"}


async def test_a_recorder_that_is_away_is_an_error_and_never_the_end_of_history(rig):
    async with httpx.AsyncClient(base_url=rig.http) as http:
        params = {"symbol": next(iter(rig.ids)), "resolution": "1", "from": 0, "to": NOW_AND_LATER_S}
        answer = await http.get("/udf/history", params=params)
    assert (answer.status_code, answer.json()["s"]) == (503, "error")
    assert answer.json()["errmsg"]
    assert answer.headers["retry-after"]
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_answers_say_what_a_live_stream_goes_on_from(charted):
    charted.recorder.last_id = 77
    params = {"symbol": charted.symbol, "resolution": "1", "to": NOW_AND_LATER_S, "countback": 5}
    answer = await charted.http.get("/udf/history", params=params)
    assert answer.headers["x-tickgate-as-of"] == str(charted.recorder.version)
    assert answer.headers["x-tickgate-last-id"] == "77"
    assert "X-Tickgate-As-Of" in answer.headers["access-control-expose-headers"]


async def test_a_page_that_asks_for_leave_first_is_given_it(charted):
    answer = await charted.http.options(
        "/udf/history", headers={"Origin": "https://a.example", "Access-Control-Request-Headers": "x-token"}
    )
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-headers"] == "*"


async def test_sixty_charts_at_once_are_answered(charted):
    at = seconds(charted.truth)
    answers = await asyncio.gather(
        *(charted.history(from_=at[place], to=at[place + 900], countback=900) for place in range(60))
    )
    assert [answer["t"][0] for answer in answers] == at[:60]
