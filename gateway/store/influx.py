"""History in InfluxDB 1.x, 2.x or 3.x, under the names that `influx_text.py` gives it.

The rules of this file:
- Version 1 writes to `/write`, 2 (and 3) through the library's client to `/api/v2/write`. All answer
  InfluxQL on `/query`, where a bucket goes by its name.
- Points go in requests of at most 100. A call has returned when all of its points are in; calls that come
  meanwhile share the next requests, and nobody waits for company.
- A point replaces the one of its moment, whichever is newer. So bars that may be older than what is there
  are compared with it first: those whose version is not above that of every bar written before. The venue's
  always is; that of imported ones, or of what waited for long, need not be. This holds for one writer: the
  recorder is the only one.
- Of the coverage of a series there is a point a day; the latest holds.
- What a bucket's retention refuses or deletes is gone, and still said to be covered: let it keep for ever.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from itertools import islice
from types import TracebackType
from typing import Any, Final, Self

import httpx
import msgspec
import numpy as np
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from gateway.store import influx_text, spans
from gateway.store.convoy import Convoy
from gateway.store.history import Change, Span, StoreDown
from gateway.store.influx_text import (
    BAR_FIELDS,
    EVERY_INTERVAL,
    MS_NS,
    TRADE_FIELDS,
    US_NS,
    format_time,
    select,
)
from gateway.store.operations import (
    Cover,
    KeepBars,
    KeepTicks,
    OperatedStore,
    Operation,
    Uncover,
    newest,
)
from protocol.bars import Bars, Series, no_bars
from protocol.events import Trade
from protocol.intervals import MINUTES, format_interval

POINTS_A_REQUEST: Final = 100
DAY_NS: Final = 24 * 3_600 * 1_000_000_000
_TOO_OLD: Final = "beyond retention policy"
"""Said of points that were left out because the bucket does not keep what is so old; the others are in."""
_FIELDS: Final = ", ".join(BAR_FIELDS.values())


class _Table(msgspec.Struct):
    """Rows of one series in an answer, each a time and what was selected."""

    name: str = ""
    values: list[list[Any]] = []
    tags: dict[str, str] = {}
    partial: bool = False
    """The server has more and does not give it."""


class _Result(msgspec.Struct):
    series: list[_Table] = []
    error: str = ""


class _Answer(msgspec.Struct):
    results: list[_Result] = []


_decoder: Final = msgspec.json.Decoder(_Answer)


class InfluxStore(OperatedStore):
    """Use with `async with`. Nothing is asked of the server before it is needed."""

    def __init__(self, url: str, token: str, org: str, bucket: str, version: int, timeout_s: float) -> None:
        self._bucket = bucket
        self._version = version
        self._is_created = version != 1  # the database of a 1.x is made when it is first needed
        user, _, password = token.partition(":")
        is_user = version == 1 and bool(token)
        self._http = httpx.AsyncClient(
            base_url=url,
            timeout=timeout_s,
            auth=httpx.BasicAuth(user, password) if is_user else None,
            headers={"Authorization": f"Token {token}"} if version != 1 else None,
        )
        self._client: Any = InfluxDBClient(url, token, org=org, timeout=round(timeout_s * 1_000))
        self._points = self._client.write_api(SYNCHRONOUS)
        self._convoy = Convoy(self._commit)
        self._highest: int | None = None
        """No bar that was ever written has a higher version. None: the server was not asked yet."""
        self._coverage: dict[Series, tuple[list[Span], int]] = {}
        """The spans, and the time of the point that says so."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        await self._http.aclose()

    async def apply(self, operation: Operation) -> None:
        await self._convoy.send(operation)

    async def read(self, series: Series, from_ms: int, to_ms: int, limit: int) -> Bars:
        window = (f"time >= {format_time(from_ms * MS_NS)}", f"time < {format_time(to_ms * MS_NS)}")
        return await self._read_bars(series, *window, limit=limit)

    async def changed(self, series: Series, after_us: int, limit: int) -> Bars:
        return await self._read_bars(series, f"version > {after_us}", limit=limit)

    async def coverage(self, series: Series) -> list[Span]:
        covered, _ = await self._covered(series)
        return list(covered)

    async def series(self) -> list[Series]:
        found = set()
        for table in await self._ask(f"SELECT last(close) FROM {EVERY_INTERVAL} GROUP BY exchange, symbol"):
            interval = influx_text.parse_measurement(table.name)
            if interval is not None:
                found.add(_series(table, interval))
        for table in await self._ask("SELECT last(spans) FROM coverage GROUP BY exchange, symbol, interval"):
            if table.values[0][1] != "[]":
                found.add(_series(table, MINUTES[table.tags["interval"]]))
        return sorted(found)

    async def last_version(self) -> int:
        tables = await self._ask(f"SELECT max(version) FROM {EVERY_INTERVAL}")
        return max((table.values[0][1] for table in tables), default=0)

    async def read_ticks(self, venue: str, native: str, from_us: int, to_us: int, limit: int) -> list[Trade]:
        if limit <= 0:
            return []
        window = (f"time >= {format_time(from_us * US_NS)}", f"time < {format_time(to_us * US_NS)}")
        query = select(TRADE_FIELDS, "trades", venue, native, *window) + f" ORDER BY time LIMIT {limit}"
        rows = [row for table in await self._ask(query, epoch="ns") for row in table.values]
        return influx_text.parse_trades(rows)

    async def drop_ticks(self, before_us: int) -> None:
        await self._ask(f"DELETE FROM trades WHERE time < {format_time(before_us * US_NS)}", method="POST")

    async def _read_bars(self, series: Series, *conditions: str, limit: int) -> Bars:
        """Return the newest bars that fulfil the conditions, by opening."""
        if limit <= 0:
            return no_bars()
        source = influx_text.measurement(series.interval)
        query = select(_FIELDS, source, series.venue, series.native, *conditions)
        tables = await self._ask(f"{query} ORDER BY time DESC LIMIT {limit}")
        return influx_text.parse_bars(tables[0].values[::-1]) if tables else no_bars()

    async def _covered(self, series: Series) -> tuple[list[Span], int]:
        if series not in self._coverage:
            interval = f"interval = '{format_interval(series.interval)}'"
            query = select("spans", "coverage", series.venue, series.native, interval)
            tables = await self._ask(f"{query} ORDER BY time DESC LIMIT 1", epoch="ns")
            at_ns, text = tables[0].values[0] if tables else (0, "[]")
            self._coverage[series] = msgspec.json.decode(text, type=list[Span]), at_ns
        return self._coverage[series]

    # Writing

    async def _commit(self, operations: Sequence[Operation]) -> None:
        """Send it all: bars, then trades, then what is covered by them. Raises StoreDown."""
        changes = [change for one in operations if isinstance(one, KeepBars) for change in one.changes]
        for change in await self._without_older(_merge(changes)):
            await self._write(influx_text.bar_lines(change))
        for one in operations:
            if isinstance(one, KeepTicks):
                await self._write(influx_text.trade_lines(one.venue, one.native, one.trades))
        await self._commit_coverage([one for one in operations if isinstance(one, Cover | Uncover)])

    async def _without_older(self, changes: list[Change]) -> list[Change]:
        """Leave out the bars of which the server has a newer version."""
        if not changes:
            return []
        if self._highest is None:
            self._highest = await self.last_version()
        before = self._highest
        self._highest = max(before, *(int(bars["version"].max()) for _, bars in changes))
        if min(int(bars["version"].min()) for _, bars in changes) > before:
            return changes
        return [await self._without_older_of(change) for change in changes]

    async def _without_older_of(self, change: Change) -> Change:
        series, bars = change
        first, last = int(bars["open_ms"][0]), int(bars["open_ms"][-1])
        there = await self.read(series, first, last + 1, 2**31)
        newer = dict(zip(there["open_ms"].tolist(), there["version"].tolist(), strict=True))
        is_newest = [newer.get(open_ms, 0) <= version for open_ms, version, *_ in bars.tolist()]
        return Change(series, bars[is_newest])

    async def _commit_coverage(self, operations: Sequence[Cover | Uncover]) -> None:
        today_ns = time.time_ns() // DAY_NS * DAY_NS
        covered: dict[Series, tuple[list[Span], int]] = {}
        for one in operations:
            there, at_ns = covered.get(one.series) or await self._covered(one.series)
            change = spans.add if isinstance(one, Cover) else spans.remove
            covered[one.series] = change(there, one.span), max(at_ns, today_ns)
        for series in covered:
            self._coverage.pop(series, None)  # until it is written, nobody knows what is there
        await self._write(influx_text.coverage_line(series, *said) for series, said in covered.items())
        self._coverage |= covered

    async def _write(self, lines: Iterable[str]) -> None:
        lines = iter(lines)
        while some := "\n".join(islice(lines, POINTS_A_REQUEST)):
            await self._send(some.encode())

    async def _send(self, lines: bytes) -> None:
        """Write lines. Raises StoreDown, unless all that is wrong with them is that they are too old."""
        try:
            if self._version == 1:
                await self._create_database()
                await self._request("POST", "/write", {"db": self._bucket, "precision": "ns"}, lines)
            else:
                await asyncio.to_thread(self._points.write, self._bucket, record=lines)
        except ApiException as error:
            if _TOO_OLD not in (error.body or ""):
                raise self._refusal(f"{error.status}: {_reason(error.body or '')}") from None
        except HTTPError as error:
            raise StoreDown(f"InfluxDB cannot be reached: {error}") from None

    # Asking

    async def _ask(self, query: str, *, epoch: str = "ms", method: str = "GET") -> list[_Table]:
        """Ask in InfluxQL. Raises StoreDown."""
        await self._create_database()
        answer = await self._request(method, "/query", {"db": self._bucket, "epoch": epoch, "q": query})
        try:
            results = _decoder.decode(answer).results
        except msgspec.DecodeError as error:
            raise StoreDown(f"InfluxDB gives an answer that is none: {error}") from None
        for result in results:
            if result.error:
                raise self._refusal(result.error)
        tables = [table for result in results for table in result.series]
        if any(table.partial for table in tables):
            raise StoreDown("InfluxDB cuts its answers: its max-row-limit is too low")
        return tables

    async def _create_database(self) -> None:
        """Make the database of a 1.x, once. Who may not do so has been given one."""
        if not self._is_created:
            name = self._bucket.replace("\\", "\\\\").replace('"', '\\"')
            await self._request("POST", "/query", {"q": f'CREATE DATABASE "{name}"'}, refusals=(401, 403))
            self._is_created = True

    async def _request(
        self,
        method: str,
        path: str,
        parameters: dict[str, str],
        content: bytes | None = None,
        refusals: tuple[int, ...] = (),
    ) -> bytes:
        try:
            answer = await self._http.request(method, path, params=parameters, content=content)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__  # a timeout says nothing
            raise StoreDown(f"InfluxDB at {self._http.base_url} cannot be reached: {reason}") from None
        if answer.is_success or answer.status_code in refusals or _TOO_OLD in answer.text:
            return answer.content
        raise self._refusal(f"{answer.status_code}: {_reason(answer.text)}")

    def _refusal(self, reason: str) -> StoreDown:
        if "database not found" in reason:  # somebody dropped it
            self._is_created = self._version != 1
        return StoreDown(f"InfluxDB answers {reason}")


def _merge(changes: Sequence[Change]) -> list[Change]:
    """Put the bars of each series together, one an opening."""
    parts: dict[Series, list[Bars]] = {}
    for series, bars in changes:
        parts.setdefault(series, []).append(bars)
    return [Change(series, newest(np.concatenate(bars))) for series, bars in parts.items()]


def _series(table: _Table, interval: int) -> Series:
    venue, native = (influx_text.parse_name(table.tags[tag]) for tag in ("exchange", "symbol"))
    return Series(venue, native, interval)


def _reason(text: str) -> str:
    """Find the sentence in an answer that is an error; 1.x and 2.x name it differently."""
    try:
        said = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return text[:200]
    return str(said.get("error") or said.get("message") or text[:200])
