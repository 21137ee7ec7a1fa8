"""A scripted chart: it asks as TradingView's library does, from now back to the first bar, and believes what
it is told for good. What it holds in the end is the truth, and took few requests.

The rules of the library that it follows:
- The first request ends a minute in the future, an older one where the bars begin that it has.
- After a page, everything from `from` on is taken as known and never asked for again.
- A page that reaches into what it has makes it begin anew; an error stays; an empty `ok` is asked for again.
- `no_data` is the end; with `nextTime` it goes on there.
"""

import time
from dataclasses import dataclass, field

import numpy as np
import pytest
from recorder_at_the_wire import make_bars, minutes_ago

from gateway.api.udf.resolutions import RESOLUTIONS

PAGE_BARS = 329
MAX_REQUESTS = 60


@dataclass
class Chart:
    """One series of one chart."""

    charted: object
    resolution: str
    has_countback: bool = True
    requests: int = 0
    bars: dict[int, float] = field(default_factory=dict)
    """Closes by time."""

    @property
    def period_s(self) -> int:
        return RESOLUTIONS[self.resolution] * 60

    async def ask(self, from_s: int, to_s: int, countback: int) -> dict:
        self.requests += 1
        assert self.requests <= MAX_REQUESTS, "it walks for ever"
        counting = {"countback": countback} if self.has_countback else {}
        answer = await self.charted.history(resolution=self.resolution, from_=from_s, to=to_s, **counting)
        assert answer["s"] in ("ok", "no_data"), answer
        if answer["s"] == "ok":
            assert answer["t"], "an empty ok is asked for again and again"
            assert answer["t"] == sorted(set(answer["t"]))
            assert answer["t"][-1] < to_s
            assert "nextTime" not in answer
        return answer

    async def walk(self) -> None:
        """Scroll back to the first bar."""
        to_s = int(time.time()) + 60
        while True:
            from_s = to_s - PAGE_BARS * self.period_s
            answer = await self.ask(from_s, to_s, PAGE_BARS)
            if answer["s"] == "no_data" and "nextTime" not in answer:
                return
            if answer["s"] == "no_data":
                assert answer["nextTime"] < from_s
                to_s = answer["nextTime"] + 1
                continue
            fresh = dict(zip(answer["t"], answer["c"], strict=True))
            assert not (fresh.keys() & self.bars.keys()) or max(fresh) < min(self.bars)
            self.bars |= fresh
            to_s = min(from_s, answer["t"][0])

    async def pulse(self) -> list[int]:
        """Ask for what is new, as a chart does every few seconds; return the times of the last two bars."""
        now_s = int(time.time()) + 1
        answer = await self.ask(now_s - 10 * self.period_s, now_s, 2)
        self.bars |= dict(zip(answer["t"], answer["c"], strict=True))
        return answer["t"][-2:]


def holds(chart: Chart, truth) -> bool:
    return chart.bars == dict(zip((truth["open_ms"] // 1000).tolist(), truth["close"].tolist(), strict=True))


@pytest.mark.parametrize("has_countback", [True, False])
async def test_a_chart_walks_to_the_first_bar_without_a_hole(charted, has_countback):
    chart = Chart(charted, "1", has_countback)
    await chart.walk()
    assert holds(chart, charted.truth)
    assert chart.requests <= len(charted.truth) / PAGE_BARS + 3


@pytest.mark.parametrize("resolution", ["15", "240", "1D", "1W"])
async def test_every_kind_of_resolution_is_walked(charted, resolution):
    interval = RESOLUTIONS[resolution]
    count = 2_000 if interval < 1_440 else 700
    bars = make_bars(minutes_ago((count - 1) * interval, interval), count, interval, running=True)
    charted.recorder.hold(charted.symbol, interval, bars)
    chart = Chart(charted, resolution)
    await chart.walk()
    assert holds(chart, bars)
    assert chart.requests <= count / PAGE_BARS + 3


@pytest.mark.parametrize(("has_countback", "most"), [(True, 6), (False, 52)])
async def test_a_thin_symbol_is_walked_in_few_requests(charted, has_countback, most):
    """1,000 bars spread over half a year; 25 where every hole costs a request."""
    rng = np.random.default_rng(3)
    count = 1_000 if has_countback else 25
    bars = make_bars(minutes_ago(0), count)
    ago = np.sort(rng.choice(260_000, count, replace=False))[::-1]
    bars["open_ms"] = minutes_ago(0) - ago * 60_000
    charted.recorder.hold(charted.symbol, 1, bars)
    chart = Chart(charted, "1", has_countback)
    await chart.walk()
    assert holds(chart, bars)
    assert chart.requests <= most


async def test_a_history_with_holes_is_walked_without_making_others(charted):
    bars = charted.truth
    holed = np.concatenate([bars[:500], bars[520:1_400], bars[2_300:]])
    charted.recorder.hold(charted.symbol, 1, holed)
    chart = Chart(charted, "1")
    await chart.walk()
    assert holds(chart, holed)
    assert chart.requests <= len(bars) / PAGE_BARS + 3


async def test_what_comes_live_joins_what_was_walked(charted):
    chart = Chart(charted, "1")
    await chart.walk()
    last_ms = int(charted.truth["open_ms"][-1])
    await charted.recorder.announce(charted.symbol, 1, last_ms, close=42.0)
    while chart.bars[last_ms // 1000] != 42.0:
        times = await chart.pulse()
        assert times == [last_ms // 1000 - 60, last_ms // 1000]
    assert holds(chart, charted.truth)
