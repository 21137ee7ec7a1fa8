"""Every benchmark runs once in small, as its command: that it works, never how fast it is."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from bench import chaos, codec, footprint, history, mute, pipeline, recorder, store
from bench.commands import bench
from bench.demo import WITHOUT_A_PAST
from bench.fanout import table as fanout
from bench.ingest import contest as ingest

Rows = dict[str, dict[str, Any]]
PROCESSES = {"sim", "feed", "nats-server", "gateway", "recorder", "supervisor"}


@dataclass(frozen=True)
class Small:
    """How a benchmark runs in small, how its table is laid out, and what must be in the result."""

    arguments: str
    lay_out: Callable[[dict[str, Any]], str] | None
    check: Callable[[Rows, dict[str, Any]], None]


def check_all(rows: Rows, results: dict[str, Any]) -> None:
    assert set(rows) == set(results["benches"]) == {"mute"}
    assert {one["is_met"] for one in results["wanted"]} == {None}, "nothing is wanted of it"


def check_chaos(rows: Rows, results: dict[str, Any]) -> None:
    assert rows["tickgate"]["trades_held"] > 0
    assert len(rows["faults"]) > 1


def check_codec(rows: Rows, results: dict[str, Any]) -> None:
    assert {"tickgate", "json", "orjson", "msgspec", "tickgate_node", "json_parse"} <= set(rows)
    assert rows["tickgate"]["bytes"] == 6 + 5 * 18


def check_fanout(rows: Rows, results: dict[str, Any]) -> None:
    assert set(rows) == {"tickgate", "kernel_limit"}
    assert rows["tickgate"]["cpu_us_per_frame"] > 0


def check_footprint(rows: Rows, results: dict[str, Any]) -> None:
    roles = {*PROCESSES, "total"}
    assert set(rows) == {f"{when}_{role}" for when in ("rest", "load") for role in roles}
    assert all(row["resident_mb"] > 0 for row in rows.values())
    assert results["samples"]["resident_mb"].keys() == PROCESSES
    looks = len(results["samples"]["at_s"])
    assert all(len(held) == looks > 1 for held in results["samples"]["resident_mb"].values())


def check_history(rows: Rows, results: dict[str, Any]) -> None:
    ingest = rows.pop("store_ingest")
    assert ingest["bars"] > 0
    assert set(rows) == {
        "udf_warm", "udf_warm_gzip", "udf_same_gzip", "udf_pulse", "udf_cold", "candles_warm", "candles_cold",
    }  # fmt: skip
    assert all(row["asked"] > 0 and row["failed"] == 0 for row in rows.values())
    assert rows["udf_warm_gzip"]["kb"] < rows["udf_warm"]["kb"]
    assert rows["candles_warm"]["kb"] > 10 * rows["udf_pulse"]["kb"]


def check_ingest(rows: Rows, results: dict[str, Any]) -> None:
    ours, others = {"tickgate", "tickgate_paced"}, {"websockets_json", "cryptofeed"}
    others |= {name + "_paced" for name in others}
    assert rows.keys() == ours | others
    for row in rows.values():
        assert row["messages"] > 0
        assert row["cpu_us_per_message"] > 0
        assert row["messages_per_s"] > 0
        assert 150 < row["bytes_per_message"] < 250
        assert row["load_limited"] is (row["source_share"] > 0.9)
    for name in ours:
        assert rows[name]["bus_messages_per_message"] > 0
        assert rows[name]["nats_cpu_us_per_message"] > 0
    assert results["ratios"].keys() == others


def check_mute(rows: Rows, results: dict[str, Any]) -> None:
    assert set(rows) == {f"seeded market/{rate:g} a second" for rate in mute.MARKET}


def check_pipeline(rows: Rows, results: dict[str, Any]) -> None:
    ours = rows["tickgate"]
    assert (ours["lost_clients"], ours["slow_clients"]) == (0, 0)
    assert ours["frames_per_s"] > 0
    assert 0 < ours["p50_us"] <= ours["p99_us"] <= ours["p999_us"]
    hops = {"exchange_to_feed", "feed", "bus", "gateway", "client"}
    assert set(rows) - {"tickgate"} == {f"hop_{hop}" for hop in hops} | {
        f"process_{role}" for role in (*PROCESSES, "clients")
    }


def check_recorder(rows: Rows, results: dict[str, Any]) -> None:
    assert rows["tickgate"]["trades"] == 1_000
    assert rows["tickgate"]["cpu_us_per_trade"] > 0


def check_store(rows: Rows, results: dict[str, Any]) -> None:
    assert results["bars"] == 3_000
    assert results["same"], "not every store gave the same bars"
    assert set(rows) == {
        "tickgate", "tickgate_while_written", "sqlite", "parquet_duckdb", "parquet_pandas",
    }  # fmt: skip
    assert rows["tickgate"]["ingest_bars_per_s"] > 0


SMALL = {
    "all": Small("--only mute", None, check_all),
    "chaos": Small(
        "--seconds 4 --symbols 3 --rate 10 --clients 1 --workers 1 --every 1 --no-past",
        chaos.format_table,
        check_chaos,
    ),
    "codec": Small("--records 5 --seconds 0.3", codec.format_table, check_codec),
    "fanout": Small(
        "--clients 20 --watchlists 3 --seconds 0.5 --symbols 30 --watchlist 5"
        " --contenders tickgate,kernel_limit",
        fanout.format_table,
        check_fanout,
    ),
    "footprint": Small(
        "--symbols 4 --clients 3 --watchlist 2 --minutes 0.02 --rest-symbols 2",
        footprint.format_table,
        check_footprint,
    ),
    "history": Small(
        "--symbols 3 --days 14 --window 700 --rate 20 --seconds 0.3", history.format_table, check_history
    ),
    "ingest": Small("--symbols 5 --seconds 0.5", ingest.format_table, check_ingest),
    "mute": Small("--cuts 5 --hours 0.5 --captures nowhere", mute.format_table, check_mute),
    "pipeline": Small(
        "--symbols 6 --clients 4 --watchlist 3 --seconds 1", pipeline.format_table, check_pipeline
    ),
    "recorder": Small("--symbols 3 --rate 2000 --seconds 0.5", recorder.format_table, check_recorder),
    "store": Small(
        "--symbols 2 --days 1 --page 500 --window 200 --reads 10", store.format_table, check_store
    ),
}


def test_no_benchmark_is_forgotten_here():
    assert set(SMALL) == set(bench.commands)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", SMALL)
async def test_a_benchmark_prints_its_result_as_json(name, tmp_path):
    small = SMALL[name]
    argv = [sys.executable, "-m", "gateway.cli", "bench", name, *small.arguments.split(), "--json"]
    pipe = asyncio.subprocess.PIPE
    environ = os.environ | WITHOUT_A_PAST  # making it would take longer than all the rest
    process = await asyncio.create_subprocess_exec(*argv, cwd=tmp_path, env=environ, stdout=pipe, stderr=pipe)
    out, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    result = json.loads(out)
    assert set(result) == {"name", "params", "machine", "results"}
    assert result["name"] == name
    rows = {row["name"]: row for row in result["results"]["rows"]}
    assert len(rows) == len(result["results"]["rows"]), "two rows of one name"
    for row in rows.values():
        texts = {key for key, value in row.items() if not isinstance(value, int | float)}
        assert {"name"} <= texts <= {"name", "missing", "version"}, row
    small.check(rows, result["results"])
    if small.lay_out:
        assert len(small.lay_out(result).splitlines()) > 3
