"""`deploy/prometheus` and `deploy/grafana`: promtool's word on them, and that what they name exists."""

import asyncio
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml
from dockerfile import health_check
from programs import program
from prometheus_client.parser import text_string_to_metric_families

from bench.demo import ANSWER_TIMEOUT_S, WITHOUT_A_PAST, run_demo, until
from gateway.api.measures import MEASURES

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
ALERTS = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"][0]["rules"]
PANELS = json.loads((ROOT / "deploy/grafana/dashboards/tickgate.json").read_text())["panels"]
QUERIES = [rule["expr"] for rule in ALERTS]
QUERIES += [target["expr"] for panel in PANELS for target in panel["targets"]]
NAME = re.compile(r"\b(?:tickgate|process)_\w+")
SELECTOR = re.compile(r"\b((?:tickgate|process)_\w+)\{([^}]*)\}")
LATER = {"tickgate_client_closes_total", "tickgate_log_complaints_total"}
"""There is nothing to count yet in a demo that has just begun."""


def promtool(*arguments: str, stdin: str = "") -> str:
    ran = subprocess.run(
        [program("promtool"), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def test_promtool_accepts_the_configuration(tmp_path):
    shutil.copytree(PROMETHEUS, tmp_path, dirs_exist_ok=True)
    (tmp_path / "key").write_text("tg_x_y")
    config = tmp_path / "prometheus.yml"
    config.write_text(config.read_text().replace("/run/secrets/metrics_key", str(tmp_path / "key")))
    assert "SUCCESS" in promtool("check", "config", str(config))


def test_the_alerts_wake_when_they_should_and_only_then():
    promtool("test", "rules", str(PROMETHEUS / "alerts_test.yml"))


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_and_what_it_is(rule):
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]


def test_panels_have_places_of_their_own():
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    taken = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in PANELS
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24


def labels_by_name(text: str) -> dict[str, set[str]]:
    """Return the metrics of a scrape, each with the labels that it has."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            found.setdefault(one.name, set()).update(one.labels)
    return found


async def test_everything_that_is_named_is_there_when_it_runs(tmp_path):
    """A whole demo, as Prometheus, promtool and Docker see it."""
    async with (
        run_demo(tmp_path, "--symbols", "3", "--workers", "1", settings=WITHOUT_A_PAST) as demo,
        httpx.AsyncClient(base_url=demo.http, timeout=ANSWER_TIMEOUT_S) as http,
    ):
        scrape = ""

        async def is_complete() -> bool:
            nonlocal scrape
            scrape = (await http.get("/metrics")).text
            return "tickgate_feed_events_total{" in scrape and "tickgate_recorder_answers_total" in scrape

        await until(is_complete)
        assert promtool("check", "metrics", stdin=scrape) == ""
        asked = await asyncio.create_subprocess_exec(
            *health_check(), env=os.environ | {"SERVER_PORT": str(demo.port)}
        )
        assert await asyncio.wait_for(asked.wait(), 30) == 0
    known = labels_by_name(scrape)
    assert {one.name for one in MEASURES} >= LATER
    assert {name for query in QUERIES for name in NAME.findall(query)} - LATER <= known.keys()
    for query in QUERIES:
        for name, matchers in SELECTOR.findall(query):
            labels = set(re.findall(r"(\w+)[=!]", matchers))
            assert name in LATER or labels <= known[name], query
