import asyncio

from gateway.ledger import LedgerWriter
from protocol.events import GapCause, GapState
from protocol.ledger import LedgerEntry

WINDOW = {"from_": 0, "to": 2**33, "resolution": "1"}


def entry(charted, number: int, state: GapState, **values) -> LedgerEntry:
    whole = {
        "id": f"{charted.recorder.venue}-{number}",
        "venue": charted.recorder.venue,
        "native": charted.symbol,
        "stream": "aggTrade",
        "cause": GapCause.CONNECTION_LOST,
        "state": state,
        "missing": 0,
        "noticed_us": number * 1_000_000,
    }
    return LedgerEntry(**whole | values)


async def test_gaps_are_marks_on_the_time_scale_and_evidence_is_none(rig, charted):
    writer = LedgerWriter(rig.bus)
    lost = entry(
        charted, 10, GapState.LOST, missing=3, first_id=5, last_id=7, first_us=9_000_000, detail="why"
    )
    for one in (
        lost,
        entry(charted, 20, GapState.FILLED, first_id=8, last_id=9, first_us=19_000_000),
        entry(charted, 30, GapState.FILLED),
        entry(charted, 40, GapState.OPEN, missing=1, first_id=11, last_id=11),
        entry(charted, 50, GapState.LOST, native="OTHER"),
    ):
        writer.note(one)
    await writer.drain()
    async with asyncio.timeout(5):
        while len(marks := await charted.udf("timescale_marks", symbol=charted.symbol, **WINDOW)) < 3:
            pass
    assert [(one["time"], one["color"]) for one in marks] == [(40, "yellow"), (19, "green"), (9, "red")]
    assert marks[-1] == {
        "id": lost.id,
        "time": 9,
        "color": "red",
        "label": "G",
        "tooltip": ["Gap, lost: connection lost", "aggTrade 5 to 7, 3 still missing", "why"],
    }
    some = await charted.udf("timescale_marks", symbol=charted.symbol, from_=9, to=19, resolution="1D")
    assert [one["time"] for one in some] == [19, 9]


async def test_extremes_are_marks_on_the_bars(charted):
    charted.recorder.enigma[charted.symbol] = {
        "ath": 70_000.0, "ath_ms": 1_700_000_000_123, "atl": 2.5, "atl_ms": 1_500_000_000_000,
    }  # fmt: skip
    marks = await charted.udf("marks", symbol=charted.symbol, **WINDOW)
    assert [(one["id"], one["time"], one["label"]) for one in marks] == [
        ("ath", 1_700_000_000, "H"),
        ("atl", 1_500_000_000, "L"),
    ]
    assert "70000.0" in marks[0]["text"]
    late = await charted.udf("marks", symbol=charted.symbol, from_=1_600_000_000, to=2**33, resolution="1")
    assert [one["id"] for one in late] == ["ath"]


async def test_marks_of_what_is_unknown_are_errors_which_a_chart_shows_as_none(charted):
    assert (await charted.udf("marks", symbol=charted.symbol, **WINDOW))["s"] == "error"
    assert (await charted.udf("marks", symbol="NOSUCH", **WINDOW))["errmsg"] == "unknown_symbol"
    assert (await charted.udf("timescale_marks", symbol=charted.symbol, from_=0, to=1))["s"] == "error"
