"""The codec benchmark runs in small: that whoever is here has figures, never how good they are."""

import json
import shutil

import orjson
import pytest
from click.testing import CliRunner

from bench.codec import Params, format_table, run
from bench.codecs import javascript
from bench.codecs.python import encode_sample
from bench.codecs.sample import BATCHES, draw_sample
from bench.commands import bench
from protocol.compact import Bases
from protocol.frames import decode_v1, decode_v2

RECORDS = 5
SMALL = Params(records=RECORDS, seconds=0.3)
PYTHON = ["tickgate", "tickgate_v2_price", "tickgate_v2_compact", "json", "orjson", "msgspec"]
NODE = ["tickgate_node", "tickgate_v2_price_node", "tickgate_v2_compact_node", "json_parse"]
CHROMIUM = [
    "tickgate_chromium",
    "tickgate_v2_price_chromium",
    "tickgate_v2_compact_chromium",
    "json_parse_chromium",
]


def test_every_contender_that_is_here_has_its_figures():
    result = run(SMALL)
    rows = {row["name"]: row for row in result["results"]["rows"]}
    assert (result["name"], result["params"]["records"]) == ("codec", RECORDS)
    assert list(rows) == PYTHON + NODE + CHROMIUM
    here = [name for name, row in rows.items() if "missing" not in row]
    assert set(PYTHON) <= set(here)
    if shutil.which("npm") and (javascript.CLIENT / "node_modules").is_dir():
        assert set(NODE) <= set(here)
    for name in here:
        assert rows[name]["us_per_batch"] > 0
        assert rows[name]["bytes"] == pytest.approx(bytes_of(name), rel=0.2)
    for name in PYTHON:
        assert any(rows[name].get(f"encode_{way}us_per_batch", 0) > 0 for way in ("", "array_"))
    ratios = result["results"]["ratios"]
    assert ratios["json"] == pytest.approx(
        rows["json"]["us_per_batch"] / rows["tickgate"]["us_per_batch"], 0.01
    )
    assert ("json_parse" in ratios) == ("json_parse" in here)
    for name in here:
        assert name in format_table(result)


def bytes_of(name: str) -> int:
    if "compact" in name:
        return 16 + 7 * RECORDS
    if "v2_price" in name:
        return 16 + 24 * RECORDS
    return 6 + 18 * RECORDS if "tickgate" in name else 58 * RECORDS


def test_the_frames_and_the_json_say_the_same():
    sample = draw_sample(RECORDS)
    frames = encode_sample(sample)
    bases = Bases()
    bases.update(decode_v2(frames.base).records)
    assert len(sample.texts) == BATCHES
    assert len(set(sample.texts)) == BATCHES, "each batch is another one"
    for index, text in enumerate(sample.texts):
        said = [(one["symbol"], one["price"], one["volume"]) for one in orjson.loads(text)]
        v1 = decode_v1(frames.v1[index])
        v2 = decode_v2(frames.price[index]).records[["symbol_id", "price", "volume"]]
        compact = bases.prices(decode_v2(frames.compact[index]).records)
        assert len(frames.v1[index]) == 6 + 18 * RECORDS
        for records in (v1, v2, compact):
            rows = [(sample.names[row[0] - 1], row[1], row[2]) for row in records.tolist()]
            assert rows == said
        assert json.loads(text) == sample.objects[index]


def test_a_sample_is_the_same_whenever_it_is_drawn():
    assert draw_sample(3) == draw_sample(3)


def test_without_node_the_rows_say_so(monkeypatch):
    monkeypatch.setenv("PATH", "")
    sample = draw_sample(1)
    rows = javascript.measure(sample, encode_sample(sample), 0.1)
    assert [row["name"] for row in rows] == NODE + CHROMIUM
    assert {row["missing"] for row in rows} == {"there is no Node"}


def test_the_command_prints_json(monkeypatch):
    monkeypatch.setenv("PATH", "")  # Python alone is enough for that
    ended = CliRunner().invoke(bench, ["codec", "--records", "2", "--seconds", "0.1", "--json"])
    assert ended.exit_code == 0, ended.output
    rows = json.loads(ended.stdout)["results"]["rows"]
    assert next(row["bytes"] for row in rows if row["name"] == "tickgate") == 6 + 18 * 2


def test_no_records_are_refused():
    assert CliRunner().invoke(bench, ["codec", "--records", "0"]).exit_code == 2
