"""Results beside the committed ones: which figures are compared, and what is marked."""

import json

from bench.compare import RESULTS, compare, find_before, format_comparison, is_cost, is_rate


def result(machine: str = "EPYC", rate: float = 10.0, **figures: float) -> dict:
    return {
        "name": "pipeline",
        "params": {"rate": rate, "contenders": ["tickgate"]},
        "machine": {"cpu": machine, "cores": 2, "versions": {"orjson": "3.11.0"}},
        "results": {"rows": [{"name": "tickgate", **figures}]},
    }


def test_a_change_is_marked_from_15_percent_on():
    before = result(p50_us=100, p99_us=100, frames_per_s=1_000)
    after = compare(before, result(p50_us=114, p99_us=120, frames_per_s=800))
    assert [(one.figure, one.mark) for one in after.changes] == [
        ("p50_us", ""), ("p99_us", "worse"), ("frames_per_s", "worse"),
    ]  # fmt: skip


def test_less_time_and_more_a_second_are_better():
    before = result(cpu_us_per_frame=10, messages_per_s=1_000)
    after = compare(before, result(cpu_us_per_frame=5, messages_per_s=2_000))
    assert [one.mark for one in after.changes] == ["better", "better"]


def test_what_is_no_speed_is_not_compared():
    before = result(asked=10, lost_clients=1, load_limited=False, p50_us=0)
    assert compare(before, result(asked=99, lost_clients=5, load_limited=True, p50_us=9)).changes == ()


def test_the_names_of_figures_say_what_is_worse():
    assert all(map(is_cost, ("p999_us", "bytes", "kb", "kb_per_client", "us_per_batch", "bytes_per_bar")))
    assert is_rate("bars_per_s")
    assert not is_cost("bars_per_s")
    assert not any(is_cost(name) or is_rate(name) for name in ("clients", "slope_mb_per_h", "minutes"))


def test_another_machine_is_said():
    before, now = result("EPYC", p50_us=1), result("Xeon", p50_us=1)
    comparison = compare(before, now)
    assert not comparison.is_same_machine
    assert "another machine" in format_comparison(comparison)
    assert "cpu EPYC -> Xeon" in format_comparison(comparison)


def test_another_version_is_said_on_the_same_machine():
    now = result(p50_us=1)
    now["machine"]["versions"] = {"orjson": "3.12.0"}
    comparison = compare(result(p50_us=1), now)
    assert comparison.is_same_machine
    assert comparison.machine == ("orjson 3.11.0 -> 3.12.0",)


def test_only_what_is_marked_is_shown_if_so_wanted():
    comparison = compare(result(p50_us=100, p99_us=100), result(p50_us=100, p99_us=200))
    shown = format_comparison(comparison, only_marked=True)
    assert "p99_us" in shown
    assert "p50_us" not in shown
    assert "1 figures are as they were" in shown


def test_the_committed_result_of_the_same_parameters_is_found(tmp_path):
    (tmp_path / "pipeline_1000.json").write_text(json.dumps(result(rate=10.0, p50_us=1)))
    (tmp_path / "pipeline_5000.json").write_text(json.dumps(result(rate=50.0, p50_us=2)))
    now = result(rate=50.0, p50_us=3)
    now["params"]["contenders"] = ("tickgate",)  # as it is before it was JSON
    before = find_before(now, tmp_path)
    assert before is not None
    assert before["results"]["rows"][0]["p50_us"] == 2
    assert find_before(result(rate=99.0), tmp_path) is None


def test_every_committed_result_can_be_compared_with():
    for path in RESULTS.glob("*.json"):
        one = json.loads(path.read_text())
        comparison = compare(one, one)
        assert comparison.is_same_machine
        assert not any(change.mark for change in comparison.changes)
