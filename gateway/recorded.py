"""What a gateway hears from the recorder: candles and Enigma levels, healed when some were lost.

    recorded.<venue>   batches (`protocol/batches.py`) of CANDLE and ENIGMA frames, at least two a second

The rules of this file:
- Where batches were missed, the recorder began anew or the bus was away, every series that clients watch is
  asked for: all bars that changed after the last version before that.
- So is a series that clients have just begun to watch.
- Of Enigma the next value heals what was missed.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from gateway.ws.candles.replays import HEAD_START_US
from gateway.ws.candles.series import Series
from gateway.ws.fanout import Fanout, now_us
from processors.bus import Bus, BusError, NoAnswer
from protocol import subjects
from protocol.bars import AnswerState, BarsAnswer, BarsQuery, decode_answer, format_query
from protocol.batches import SequenceCheck, decode_batch
from protocol.errors import ProtocolError
from protocol.events import SeriesKey

REQUESTS: Final = 8
"""Under way at the same time; the others wait for their turn."""
REQUEST_TIMEOUT_S: Final = 5.0
"""The recorder itself gives up after 4 s, and says why."""
RETRY_S: Final = 0.5
EVER: Final = 2**53
"""Later than any bar opens."""

log = structlog.get_logger()


class RecordedReader:
    """Feeds the fan-out from `recorded.*`, and asks `request.bars` for what is missing."""

    def __init__(self, bus: Bus, fanout: Fanout) -> None:
        self.batches = 0
        self.bad_batches = 0
        self.missed_batches = 0
        self.on_out_of_reach: Callable[[SeriesKey], None] = lambda _key: None
        """Called with a series of which more was missed than one answer holds."""
        self._bus = bus
        self._fanout = fanout
        self._board = fanout.candles
        self._board.on_wanted = self._on_wanted
        self._checks: dict[str, SequenceCheck] = {}
        self._epochs: dict[str, int] = {}
        self._turns = asyncio.Semaphore(REQUESTS)
        self._wake = asyncio.Event()

    async def start(self) -> None:
        """Subscribe; from here on batches arrive."""
        await self._bus.subscribe(subjects.ALL_RECORDED, self._on_recorded)
        self._bus.on_reconnect(self._on_reconnect)

    async def run(self) -> None:
        """Ask for what is missing, as it is needed. Until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            failures = await asyncio.gather(*[self._heal(series) for series in self._board.to_ask()])
            if reasons := [one for one in failures if one]:
                log.warning("recorded.not_healed", series=len(reasons), error=reasons[0])
                await asyncio.sleep(RETRY_S)
                self._wake.set()

    async def changed_after(self, series: Series, after_us: int) -> BarsAnswer:
        """Ask for every bar of a series that changed after a version. Raises BusError."""
        return await self._ask(_query(series, changed_after_us=max(after_us, 1)))

    async def _heal(self, series: Series) -> str:
        """Ask for what is missing of a series, and take it in; return why, if that failed."""
        question = self._board.ask(series, None, now_us() - HEAD_START_US)
        try:
            answer = await self.changed_after(series, question.after_us)
            if not len(answer.bars) and series.newest() is None:
                newest = (await self._ask(_query(series, from_ms=EVER, countback=1))).bars
                answer = answer._replace(bars=newest[newest["version"] <= answer.as_of_us])
        except BusError as error:
            return str(error)
        if not self._board.on_answer(question, answer.as_of_us, answer.bars):
            self._wake.set()
        if answer.state & AnswerState.MORE:
            self.on_out_of_reach(series.key)
        self._fanout.flush_soon(now_us())
        return ""

    async def _ask(self, query: BarsQuery) -> BarsAnswer:
        async with self._turns:
            payload = await self._bus.request(subjects.REQUEST_BARS, format_query(query), REQUEST_TIMEOUT_S)
        try:
            return decode_answer(payload)
        except ProtocolError as error:
            raise NoAnswer(f"{subjects.REQUEST_BARS}: {error}") from error

    def _on_recorded(self, subject: str, payload: bytes) -> None:
        try:
            batch = decode_batch(payload)
        except ProtocolError as error:
            self.bad_batches += 1
            log.warning("recorded.bad_batch", subject=subject, error=str(error))
            return
        self.batches += 1
        missed = self._checks.setdefault(subject, SequenceCheck()).missed(batch)
        self.missed_batches += missed
        began_anew = self._epochs.get(subject, batch.epoch_us) != batch.epoch_us
        self._epochs[subject] = batch.epoch_us
        if missed or began_anew:
            log.info("recorded.asked_again", subject=subject, missed=missed, began_anew=began_anew)
            self._board.on_missed(subject)
        self._fanout.on_recorded(subject, batch)

    def _on_reconnect(self) -> None:
        """While the server was away anything may have been missed."""
        for subject in self._checks:
            self._board.on_missed(subject)

    def _on_wanted(self) -> None:
        self._wake.set()


def _query(series: Series, *, changed_after_us: int = 0, from_ms: int = 0, countback: int = 0) -> BarsQuery:
    instrument = series.instrument
    return BarsQuery(
        venue=instrument.venue,
        native=instrument.native,
        interval=series.key.interval,
        from_ms=from_ms,
        countback=countback,
        changed_after_us=changed_after_us,
    )
