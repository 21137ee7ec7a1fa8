import asyncio

import httpx
import pytest

from gateway.api.ledger import MAX_ENTRIES, LedgerTable
from gateway.ledger import LedgerWriter
from protocol.events import GapCause, GapState
from protocol.ledger import LedgerEntry


def entry(number: int, rig=None, state=GapState.OPEN, **fields) -> LedgerEntry:
    native = next(iter(rig.ids)) if rig else "BTCUSDT"
    whole = {
        "id": f"gap-{rig.venue if rig else ''}-{number}",
        "venue": rig.venue if rig else "venue",
        "native": native,
        "stream": "aggTrade",
        "cause": GapCause.SKIPPED,
        "state": state,
        "missing": 3,
        "noticed_us": number * 1_000_000,
        **fields,
    }
    return LedgerEntry(**whole)


@pytest.fixture
async def gaps(rig):
    """Write entries, and ask the gateway for those of this rig's venue until it has some."""
    async with httpx.AsyncClient(base_url=rig.http) as http:

        async def ask(**params):
            return await http.get("/api/v1/gaps", params={"venue": rig.venue, **params})

        async def write(*entries):
            writer = LedgerWriter(rig.bus)
            for one in entries:
                writer.note(one)
            await writer.drain()
            async with asyncio.timeout(5):
                while len((await ask()).json()) < len({one.id for one in entries}):
                    pass

        ask.write = write
        yield ask


async def numbers(answer) -> list[int]:
    return [one["noticed_ms"] // 1000 for one in answer.json()]


async def test_the_newest_state_of_every_gap_is_listed_newest_first(rig, gaps):
    closed = entry(1, rig, GapState.FILLED, missing=0, closed_us=9_000_000)
    await gaps.write(entry(1, rig), entry(2, rig), closed)
    second, first = (await gaps()).json()
    assert (first["id"], first["state"], first["missing"], first["closed_ms"]) == (
        closed.id,
        "filled",
        0,
        9_000,
    )
    assert (second["state"], second["cause"], second["closed_ms"]) == ("open", "skipped", None)
    assert (first["symbol"], first["venue"]) == (next(iter(rig.ids)), rig.venue)


async def test_entries_are_chosen_by_what_is_asked(rig, gaps):
    connection = entry(3, rig, GapState.FILLED, native="_connections", cause=GapCause.ROTATED, closed_us=1)
    await gaps.write(entry(1, rig), entry(2, rig, GapState.LOST, closed_us=1), connection)
    assert await numbers(await gaps(symbol=next(iter(rig.ids)))) == [2, 1]
    assert await numbers(await gaps(symbol="_connections")) == [3]
    assert await numbers(await gaps(state="lost")) == [2]
    assert await numbers(await gaps(cause="rotated")) == [3]
    assert await numbers(await gaps(since_ms=2_000)) == [3, 2]
    assert await numbers(await gaps(limit=1)) == [3]
    assert await numbers(await gaps(symbol=list(rig.ids)[1])) == []


async def test_what_was_written_before_a_gateway_started_is_there(rig, gaps, start_gateway):
    await gaps.write(entry(1, rig), entry(2, rig))
    async with start_gateway() as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        async with asyncio.timeout(5):
            while await numbers(await http.get("/api/v1/gaps", params={"venue": rig.venue})) != [2, 1]:
                pass


@pytest.mark.parametrize(
    "params",
    [
        {"symbol": "NOSUCH"},
        {"state": "gone"},
        {"cause": "7"},
        {"since_ms": "yesterday"},
        {"since_ms": "-1"},
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "१"},
        {"lmit": "5"},
    ],
)
async def test_a_wrong_parameter_is_refused_by_name(gaps, params):
    answer = await gaps(**params)
    assert answer.status_code == 400
    assert (answer.json()["error"], answer.json()["parameter"]) == ("bad_parameter", next(iter(params)))


async def test_a_parameter_that_is_given_twice_or_does_not_fit_is_refused(rig):
    async with httpx.AsyncClient(base_url=rig.http) as http:
        twice = await http.get("/api/v1/gaps?limit=5&limit=6")
        for order in ("symbol={}&venue=elsewhere", "venue=elsewhere&symbol={}"):
            other = await http.get("/api/v1/gaps?" + order.format(next(iter(rig.ids))))
            assert (other.status_code, other.json()["parameter"]) == (400, "venue")
    assert (twice.status_code, twice.json()["parameter"]) == (400, "limit")


def test_an_older_state_never_replaces_a_later_one():
    table = LedgerTable()
    for state, closed_us in (
        (GapState.OPEN, 0),
        (GapState.LOST, 5),
        (GapState.OPEN, 0),
        (GapState.FILLED, 4),
    ):
        table.add(entry(1, state=state, closed_us=closed_us))
    assert [one.state for one in table.newest_first()] == [GapState.LOST]


def test_the_table_is_bounded_and_the_oldest_entries_go():
    table = LedgerTable()
    for number in range(MAX_ENTRIES + 1):
        table.add(entry(number))
    assert len(table) == MAX_ENTRIES + 1 - MAX_ENTRIES // 10
    assert table.newest_first()[0].noticed_us == MAX_ENTRIES * 1_000_000
