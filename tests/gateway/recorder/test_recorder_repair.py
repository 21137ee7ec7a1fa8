"""What goes wrong on the way to the store: losses on the bus, late trades, a store that is away."""

import asyncio
from pathlib import Path

import pytest

from gateway.recorder.recorder import Options
from gateway.sim.server import SimOptions, SimulatedExchange
from gateway.store.duck.store import DuckStore
from gateway.store.history import StoreDown
from gateway.store.operations import Operation
from gateway.store.spool import SpooledStore
from processors.bus import NoAnswer
from processors.shell import now_us
from protocol import subjects
from protocol.bars import BarsAnswer, BarsQuery, Series, format_query
from protocol.batches import decode_batch
from protocol.events import CandleFlag, GapState, Kind
from protocol.frames import decode_v2

NOON_MS = 1_824_984_000_000
"""2027-10-31 12:00 UTC."""
MINUTE_MS = 60_000
NOWHERE = "http://127.0.0.1:1"
"""No venue can be asked: what is in the bars came over the bus."""


async def is_heard(asker, worker) -> None:
    """Wait until the recorder listens, and has heard of the symbol."""
    await asker.state()
    worker.trades(NOON_MS, 10.0)
    await asker.state_when(lambda state: state["venues"]["binance"]["symbols"] == 1)


def minute(worker, number: int = 0) -> dict:
    from_ms = NOON_MS + number * MINUTE_MS
    return {"native": worker.native, "from_ms": from_ms, "to_ms": from_ms + MINUTE_MS}


def newest(answer: BarsAnswer) -> dict:
    names = answer.bars.dtype.names
    return dict(zip(names, answer.bars[-1].tolist(), strict=True)) if len(answer.bars) else {}


async def test_trades_that_the_bus_has_lost_are_asked_for(run_time, run_recorder, asker, worker):
    run_time(NOON_MS, 1)
    async with run_recorder(NOWHERE):
        await is_heard(asker, worker)
        worker.trades(NOON_MS + 100, 99.0, 5.0, loses=True)
        worker.trades(NOON_MS + 200, 12.0)
        answer = await asker.bars_when(lambda answer: newest(answer).get("trades") == 4, **minute(worker))
        state = await asker.state()
    bar = newest(answer)
    assert (bar["open"], bar["high"], bar["low"], bar["close"]) == (10.0, 99.0, 5.0, 12.0)
    assert answer.last_id == worker.last_id
    assert (state["trades"]["filled"], state["trades"]["lost"]) == (2, 0)


async def test_trades_of_lost_batches_are_asked_for_before_the_next_one_comes(
    run_time, run_recorder, asker, worker
):
    run_time(NOON_MS, 1)
    async with run_recorder(NOWHERE):
        await is_heard(asker, worker)
        worker.trades(NOON_MS + 100, 99.0, loses=True)  # the heartbeat shows it
        answer = await asker.bars_when(lambda answer: newest(answer).get("trades") == 2, **minute(worker))
    assert newest(answer)["close"] == 99.0


async def test_the_minute_in_which_a_symbol_is_first_heard_begins_where_it_began(
    run_time, run_recorder, asker, worker
):
    run_time(NOON_MS, 1)
    worker.trades(NOON_MS - 10, 1.0)
    worker.trades(NOON_MS, 7.0, 8.0, loses=True)
    async with run_recorder(NOWHERE):
        await is_heard(asker, worker)
        answer = await asker.bars_when(lambda answer: newest(answer).get("trades") == 3, **minute(worker))
    assert (newest(answer)["open"], newest(answer)["low"]) == (7.0, 7.0)


async def test_late_trades_rebuild_a_bar_that_the_venue_has_not_stated(run_time, run_recorder, asker, worker):
    run_time(NOON_MS + 1_000, 20)
    announced = asyncio.Queue()
    await asker.bus.subscribe(
        subjects.candles("binance", worker.native, "1m"), lambda _, payload: announced.put_nowait(payload)
    )
    async with run_recorder(NOWHERE):
        await is_heard(asker, worker)
        first, _ = worker.skip(1)
        worker.trades(NOON_MS + 30_000, 11.0)
        worker.trades(NOON_MS + MINUTE_MS, 12.0)
        final = await asker.bars_when(
            lambda answer: newest(answer).get("flags") == CandleFlag.FINAL, **minute(worker)
        )
        worker.trade(first, NOON_MS + 20_000, 55.0, recovered=True)
        worker.gap(GapState.FILLED, first, first)
        rebuilt = await asker.bars_when(lambda answer: newest(answer).get("revision") == 1, **minute(worker))
    assert (newest(final)["high"], newest(rebuilt)["high"]) == (11.0, 55.0)
    assert newest(rebuilt)["flags"] == CandleFlag.FINAL | CandleFlag.REBUILT
    assert newest(rebuilt)["version"] > newest(final)["version"]
    async with asyncio.timeout(10):
        candles = [decode_v2(await announced.get()).rows()[0] for _ in range(2)]
    assert [(one.revision, one.high) for one in candles] == [(0, 11.0), (1, 55.0)]


async def test_the_venues_bar_wins_and_late_trades_do_not_change_it(run_time, run_recorder, asker, worker):
    run_time(NOON_MS + 1_000, 20)
    async with run_recorder(NOWHERE):
        await is_heard(asker, worker)
        worker.bar(NOON_MS, 10.0, 77.0, 12.0)
        worker.trade(worker.last_id + 1, NOON_MS + 20_000, 500.0, recovered=True)
        worker.trades(NOON_MS + MINUTE_MS, 13.0, 14.0)
        answer = await asker.bars_when(
            lambda answer: newest(answer).get("flags") == CandleFlag.FINAL | CandleFlag.REST, **minute(worker)
        )
    assert (newest(answer)["high"], newest(answer)["revision"]) == (77.0, 0)


class AwayStore(DuckStore):
    """A real store that can be away."""

    is_away = False

    async def apply(self, operation: Operation) -> None:
        if self.is_away:
            raise StoreDown("it is away")
        await super().apply(operation)


async def test_while_the_store_is_away_bars_wait_on_disk_and_the_reason_is_said(
    run_time, run_recorder, asker, worker, tmp_path: Path
):
    run_time(NOON_MS + 1_000, 20)
    store = AwayStore(tmp_path / "history.duckdb")
    spooled = SpooledStore(store, tmp_path / "spool", 2**24, retry_s=0.05)
    async with run_recorder(NOWHERE, store=spooled):
        await is_heard(asker, worker)
        store.is_away = True
        worker.bar(NOON_MS, 10.0, 77.0, 12.0)
        state = await asker.state_when(lambda state: state["store"]["waiting_bytes"])
        assert state["store"]["reason"] == "it is away"
        question = format_query(BarsQuery(venue="binance", interval=1, **minute(worker)))
        with pytest.raises(NoAnswer, match="it is away"):
            await asker.bus.request(subjects.REQUEST_BARS, question, 6)
        store.is_away = False
        answer = await asker.bars_when(lambda answer: newest(answer).get("high") == 77.0, **minute(worker))
    assert newest(answer)["flags"] & CandleFlag.FINAL
    async with DuckStore(tmp_path / "history.duckdb") as after:
        kept = await after.read(Series("binance", worker.native, 1), NOON_MS, NOON_MS + 1, 9)
    assert kept["high"].tolist() == [77.0]


async def test_what_changes_after_an_answer_has_a_higher_version(run_time, run_recorder, asker, worker):
    run_time(NOON_MS + 1_000, 1)
    candles: dict[int, tuple] = {}
    batches = []

    def on_batch(_subject: str, payload: bytes) -> None:
        batch = decode_batch(payload)
        batches.append(batch)
        for frame in batch.frames:
            if frame.kind is Kind.CANDLE:
                for row in frame.rows():
                    if (row.symbol_id, row.interval) == (worker.symbol_id, 1):
                        candles[frame.time_us] = (row.trades, row.close)

    await asker.bus.subscribe(subjects.recorded("binance"), on_batch)
    async with run_recorder(NOWHERE):
        await is_heard(asker, worker)
        for price in range(20):
            worker.trades(NOON_MS + 2_000 + price, float(price + 1))
            answer = await asker.bars_when(lambda answer: len(answer.bars), **minute(worker))
            await asyncio.sleep(0)
            known = newest(answer)
            assert known["version"] <= answer.as_of_us
        whole = await asker.bars_when(lambda answer: newest(answer).get("trades") == 21, **minute(worker))
    newer = {version: state for version, state in candles.items() if version > answer.as_of_us}
    last = newer[max(newer)] if newer else (newest(answer)["trades"], newest(answer)["close"])
    assert last == (newest(whole)["trades"], newest(whole)["close"]) == (21, 20.0)
    assert [one.sequence for one in batches] == list(range(1, len(batches) + 1))
    times = [frame.time_us for one in batches for frame in one.frames]
    assert times == sorted(times)


async def test_single_trades_are_kept_if_that_is_wanted(
    run_time, run_recorder, asker, worker, tmp_path: Path
):
    run_time(NOON_MS + 1_000, 1)
    async with run_recorder(NOWHERE, Options(ticks=True)):
        await is_heard(asker, worker)
        ids = worker.trades(NOON_MS + 500, 11.0, 12.0)
        await asker.bars_when(lambda answer: newest(answer).get("trades") == 3, **minute(worker))
    async with DuckStore(tmp_path / "history.duckdb") as store:
        kept = await store.read_ticks("binance", worker.native, 0, now_us(), 100)
    assert [trade.id for trade in kept] == [ids[0] - 1, *ids]


@pytest.mark.parametrize(
    ("subject", "payload"),
    [
        (subjects.REQUEST_BARS, b"nonsense"),
        (subjects.REQUEST_BARS, b'{"venue":"binance","native":"NOBODY","interval":1}'),
        (subjects.REQUEST_BARS, b'{"venue":"elsewhere","native":"BTCUSDT","interval":1}'),
        (subjects.REQUEST_BARS, b'{"venue":"binance","native":"BTCUSDT","interval":2}'),
        (subjects.REQUEST_ENIGMA, b"[1]"),
        (subjects.REQUEST_ENIGMA, b'{"venue":"binance","native":"NOBODY"}'),
        (subjects.REQUEST_BACKFILL, b"{}"),
        (subjects.REQUEST_EXPORT, b"\xff"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused_and_nothing_else_happens(
    run_recorder, asker, subject, payload
):
    async with run_recorder(NOWHERE):
        await asker.state()
        with pytest.raises(NoAnswer, match="no such thing"):
            await asker.bus.request(subject, payload, 5)
        await asker.state()


async def test_enigma_is_known_once_the_life_of_a_symbol_is(run_time, run_recorder, run_feed, asker):
    run_time(NOON_MS, 1)
    options = SimOptions(symbols=1, rate=5, genesis_ms=NOON_MS - 600_000)
    levels: asyncio.Queue[bytes] = asyncio.Queue()
    await asker.bus.subscribe(
        subjects.enigma("binance", "BTCUSDT"), lambda _, payload: levels.put_nowait(payload)
    )
    async with (
        SimulatedExchange(options) as sim,
        run_recorder(sim.url, Options(backfill_bars=10)),
        run_feed(sim),
    ):
        async with asyncio.timeout(60):
            [row] = decode_v2(await levels.get()).rows()
    assert 0 <= row.level <= 100
    assert row.low < row.high
