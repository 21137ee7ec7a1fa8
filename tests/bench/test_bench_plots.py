"""The plots: drawn where there are figures, and only there."""

import pytest

from bench.plots import PLOTS, draw

PNG = b"\x89PNG\r\n\x1a\n"


def result(bench: str, rows: dict[str, dict], **params: object) -> dict:
    return {
        "name": bench,
        "params": params,
        "results": {"rows": [{"name": name, **row} for name, row in rows.items()]},
    }


def fanout(clients: int) -> dict:
    rows = {
        "tickgate": {"cpu_us_per_frame": 5.7},
        "starlette": {"cpu_us_per_frame": 18.5},
        "node_ws": {"missing": "no node on this machine"},
    }
    return result("fanout", rows, clients=clients, rate=20.0, watchlists=50, watchlist=20)


def pipeline(rate: float, p50_us: float) -> dict:
    figures = {"p50_us": p50_us, "p99_us": 2 * p50_us, "p999_us": 4 * p50_us}
    return result("pipeline", {"tickgate": figures}, symbols=100, rate=rate, clients=100)


def footprint() -> dict:
    samples = {"at_s": [0.0, 30.0, 60.0], "resident_mb": {"feed": [90.0, 91.0, 91.0], "sim": [70.0] * 3}}
    one = result("footprint", {"load_feed": {"resident_mb": 91.0}})
    return one | {"results": one["results"] | {"samples": samples}}


def codec() -> dict:
    rows = {"tickgate": {"us_per_batch": 1.0}, "json": {"us_per_batch": 33.0}}
    return result("codec", rows, records=50)


DRAWN = {
    "codec": {"codec": codec()},
    "fanout": {"fanout": fanout(1_000)},
    "fanout_sizes": {"fanout": fanout(1_000), "fanout_200": fanout(200)},
    "footprint": {"footprint": footprint()},
    "ingest": {"ingest": result("ingest", {"tickgate": {"cpu_us_per_message": 3.9}}, symbols=50)},
    "pipeline": {"pipeline_1000": pipeline(10, 500), "pipeline_5000": pipeline(50, 800)},
}


def test_every_plot_is_drawn_here():
    assert set(DRAWN) == set(PLOTS)


@pytest.mark.parametrize("name", DRAWN)
def test_a_plot_is_drawn_of_its_results(name, tmp_path):
    drawn = {path.name: path.read_bytes() for path in draw(DRAWN[name], tmp_path)}
    assert drawn[f"{name}.png"].startswith(PNG)


def test_without_results_nothing_is_drawn(tmp_path):
    assert draw({}, tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_one_point_is_no_line(tmp_path):
    assert draw({"pipeline_1000": pipeline(10, 500)}, tmp_path) == []
