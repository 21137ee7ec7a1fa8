"""From the simulated exchange through a feed worker into the recorder: its bars are the venue's."""

import numpy as np
import pytest

from gateway.exchanges.venue import VENUES
from gateway.feeds.rest import Rest
from gateway.recorder.backfill import bar_row
from gateway.recorder.memory import as_bars
from gateway.sim.server import SimOptions, SimulatedExchange
from processors.shell import now_us
from protocol.bars import AnswerState, Bars
from protocol.events import CandleFlag
from protocol.intervals import MINUTES, open_of

MIDNIGHT_MS = 1_825_027_200_000
"""2027-11-01, a Monday on which three days begin as well: bars of every interval end here."""
SPEED = 40
"""A minute takes a second and a half."""
MINUTE_MS = 60_000
FIELDS = ("open_ms", "open", "high", "low", "close", "volume", "quote_volume", "taker_buy", "trades")


def simulated() -> SimulatedExchange:
    return SimulatedExchange(SimOptions(symbols=2, rate=2, genesis_ms=MIDNIGHT_MS - 600_000))


async def venue_bars(sim: SimulatedExchange, interval: int, from_ms: int, to_ms: int) -> Bars:
    async with Rest(VENUES["binance"].with_endpoints(rest=sim.url)) as rest:
        rows = await rest.klines("BTCUSDT", interval, from_ms, to_ms, 1_000)
    return as_bars([bar_row(bar) for bar in rows if bar.final])


async def are_the_venues(ours: Bars, sim: SimulatedExchange, interval: int) -> None:
    theirs = await venue_bars(sim, interval, int(ours["open_ms"][0]), int(ours["open_ms"][-1]) + 1)
    for field in FIELDS:
        np.testing.assert_allclose(ours[field], theirs[field], rtol=1e-9)


async def newest_settled(asker, interval: int, last_ms: int) -> Bars:
    """Ask for ten bars up to one, until that is final by the venue's word: when time is fast, ours may come
    first."""
    answer = await asker.bars_when(
        lambda answer: (
            len(answer.bars)
            and answer.bars["open_ms"][-1] == last_ms
            and answer.bars["flags"][-1] == CandleFlag.FINAL | CandleFlag.REST
        ),
        interval=interval,
        countback=10,
        from_ms=last_ms,
        to_ms=last_ms + 1,
    )
    return answer.bars


async def test_bars_of_every_interval_are_the_venues(run_time, run_recorder, run_feed, asker):
    run_time(MIDNIGHT_MS - 90_000, SPEED)
    async with simulated() as sim, run_recorder(sim.url), run_feed(sim):
        for interval in MINUTES.values():
            ours = await newest_settled(asker, interval, open_of(MIDNIGHT_MS - 1, interval))
            await are_the_venues(ours, sim, interval)
        state = await asker.state()
    assert state["venues"]["binance"]["differences"] == 0


async def test_without_a_word_of_the_venues_stream_its_rest_is_asked(run_time, run_recorder, run_feed, asker):
    run_time(MIDNIGHT_MS - 90_000, SPEED)
    async with simulated() as sim, run_recorder(sim.url), run_feed(sim, EXCHANGE_STREAMS="aggTrade"):
        state = await asker.state_when(lambda state: state["bars"]["doubts_settled"] >= 2)
        answer = await asker.bars_when(
            lambda answer: answer.bars["flags"][-1] & CandleFlag.REST,
            from_ms=MIDNIGHT_MS - MINUTE_MS,
            to_ms=MIDNIGHT_MS,
        )
        await are_the_venues(answer.bars, sim, 1)
    assert state["trades"]["lost"] == 0


@pytest.mark.parametrize("is_killed", [False, True])
async def test_minutes_missed_while_away_are_there_afterwards_and_nothing_twice(
    run_time, run_recorder, run_feed, asker, is_killed
):
    run_time(MIDNIGHT_MS - 90_000, SPEED)
    async with simulated() as sim, run_feed(sim):
        async with run_recorder(sim.url, is_killed=is_killed):
            before = await newest_settled(asker, 1, MIDNIGHT_MS - MINUTE_MS)
            await asker.state_when(lambda state: not state["bars"]["waiting"])
        gone_us = now_us()
        missed = [open_of(gone_us // 1_000, 1) + minute * MINUTE_MS for minute in range(2)]
        while not len(await venue_bars(sim, 1, missed[-1], missed[-1] + MINUTE_MS)):
            pass
        async with run_recorder(sim.url):
            for interval in (1, 5, 1_440):
                last_ms = missed[-1] if interval == 1 else open_of(MIDNIGHT_MS - 1, interval)
                await are_the_venues(await newest_settled(asker, interval, last_ms), sim, interval)
            first_ms, last_ms = before["open_ms"][[0, -1]].tolist()
            after = await asker.bars(from_ms=first_ms, to_ms=last_ms + 1)
            changed = await asker.bars(changed_after_us=gone_us, to_ms=missed[-1] + 1)
    assert after.bars["open_ms"].tolist() == before["open_ms"].tolist()
    assert after.bars["revision"].tolist() == before["revision"].tolist()
    # Who has followed until the recorder went, and asks for what has changed since, is told of them.
    assert changed.bars["open_ms"].tolist()[-2:] == missed


async def test_a_window_that_nobody_has_loaded_is_fetched(run_time, run_recorder, run_feed, asker):
    run_time(MIDNIGHT_MS - 30_000, 1)
    from_ms = MIDNIGHT_MS - 400 * 86_400_000
    async with simulated() as sim, run_recorder(sim.url), run_feed(sim):
        answer = await asker.bars(interval=1, from_ms=from_ms, to_ms=from_ms + 2_500 * MINUTE_MS)
        assert len(answer.bars) == 2_500
        assert answer.state == AnswerState(0)
        await are_the_venues(answer.bars[:1_000], sim, 1)
        fetched = (await asker.state())["bars"]["fetched"]
        again = await asker.bars(interval=1, from_ms=from_ms + MINUTE_MS, to_ms=from_ms + 9 * MINUTE_MS)
        assert (await asker.state())["bars"]["fetched"] == fetched
    assert len(again.bars) == 8


async def test_the_first_bar_of_all_is_known_as_such(run_time, run_recorder, run_feed, asker):
    run_time(MIDNIGHT_MS - 30_000, 1)
    async with simulated() as sim, run_recorder(sim.url), run_feed(sim):
        [first] = (await venue_bars(sim, 1_440, 0, MIDNIGHT_MS))[:1].tolist()
        listed_ms = first[0]
        whole = await asker.bars(interval=1_440, from_ms=0)
        minutes = await asker.bars(
            interval=1, from_ms=listed_ms, to_ms=listed_ms + 3 * MINUTE_MS, countback=50
        )
        nothing = await asker.bars(interval=1, from_ms=listed_ms - 9 * MINUTE_MS, to_ms=listed_ms)
        later = await asker.bars(interval=1, from_ms=listed_ms + MINUTE_MS, to_ms=listed_ms + 3 * MINUTE_MS)
    assert whole.bars["open_ms"][0] == minutes.bars["open_ms"][0] == listed_ms
    assert whole.state == minutes.state == nothing.state == AnswerState.BEGINNING
    assert (len(minutes.bars), len(nothing.bars), len(later.bars)) == (3, 0, 2)
    assert later.state == AnswerState(0)


async def test_more_than_an_answer_holds_is_had_by_asking_on(run_time, run_recorder, run_feed, asker):
    run_time(MIDNIGHT_MS - 30_000, 1)
    from_ms, to_ms = MIDNIGHT_MS - 12_000 * MINUTE_MS, MIDNIGHT_MS - 600 * MINUTE_MS
    async with simulated() as sim, run_recorder(sim.url), run_feed(sim):
        newer = await asker.bars(interval=1, from_ms=from_ms, to_ms=to_ms)
        older = await asker.bars(interval=1, from_ms=from_ms, to_ms=int(newer.bars["open_ms"][0]))
    assert (newer.state, older.state) == (AnswerState.MORE, AnswerState(0))
    opens = np.concatenate([older.bars["open_ms"], newer.bars["open_ms"]])
    np.testing.assert_array_equal(opens, np.arange(from_ms, to_ms, MINUTE_MS))
