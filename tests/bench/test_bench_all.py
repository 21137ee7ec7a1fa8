"""All benchmarks one after the other: what happens when one of them fails."""

import io

import msgspec
import pytest
from rich.console import Console

from bench.all import SUITE, Params, UnknownBench, choose, has_failed, run
from bench.commands import bench

SOON = "mute --cuts 1 --hours 0.02 --captures nowhere"


async def test_one_that_fails_is_reported_and_stops_nobody_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = io.StringIO()
    result = await run(Params({"broken": "mute --cuts many", "sound": SOON}), Console(file=shown))
    broken, sound = result["results"]["rows"]
    assert "many" in broken["missing"]
    assert sound["took_s"] > 0
    assert has_failed(result)
    assert set(result["results"]["benches"]) == {"sound"}
    assert result["results"]["files"] == ["data/bench/sound.json"]
    written = msgspec.json.decode((tmp_path / "data/bench/sound.json").read_bytes())
    assert written["results"]["rows"][0]["name"].startswith("seeded market/")
    assert "It failed" in shown.getvalue()
    assert "What is wanted" in shown.getvalue()


def test_a_part_of_the_suite_is_run_in_the_order_it_is_asked_for():
    assert list(choose("store,fanout")) == ["store", "fanout"]
    assert choose(None) == SUITE
    with pytest.raises(UnknownBench, match="nonsense"):
        choose("store,nonsense")


@pytest.mark.parametrize("command", SUITE.values())
def test_every_line_of_the_suite_is_a_command(command):
    name, *arguments = command.split()
    bench.commands[name].make_context(name, arguments)
