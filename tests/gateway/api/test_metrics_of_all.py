"""`/metrics`, `/stats` and health of gateways at the wire."""

import asyncio
import json

import httpx
import msgspec
import pytest
from fleet import until
from prometheus_client.parser import text_string_to_metric_families
from recorder_at_the_wire import WireRecorder

from gateway.recorder_report import BarFigures, RecorderReport, StoreFigures
from gateway.ws.endpoint import ClientLimits
from processors.bus import Endpoint
from protocol import subjects


@pytest.fixture
async def http(rig):
    async with httpx.AsyncClient(base_url=rig.http, timeout=20) as client:
        yield client


def values(text: str, name: str) -> dict[str, float]:
    """Return what a metric says, by all its labels but the gateway."""
    return {
        ",".join(value for label, value in one.labels.items() if label not in ("gateway", "le")): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
        if one.name == name
    }


async def text_of(http: httpx.AsyncClient, **params: str) -> str:
    answer = await http.get("/metrics", params=params)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text


async def test_prices_clients_and_requests_are_counted(rig, http):
    btc = next(iter(rig.ids))
    await rig.prices_arrive(btc, 5.0)
    async with rig.connect(2) as watcher:
        await watcher.send(json.dumps({"type": "subscribe", "symbols": [btc], "kinds": ["price", "trade"]}))
        await watcher.recv()
        rig.trades(btc, 3)
        async with asyncio.timeout(10):
            while values(await text_of(http, local="1"), "tickgate_delivered_trades_total")[""] < 3:
                await watcher.recv()
        text = await text_of(http, local="1")
    assert values(text, "tickgate_clients") == {"": 1}
    assert values(text, "tickgate_frames_total")[""] >= 2
    hops = values(text, "tickgate_latency_seconds_count")
    assert set(hops) == {"exchange_to_feed", "feed", "bus", "gateway", "client"}
    assert hops["bus"] >= 1
    assert values(text, "tickgate_client_closes_total") == {"1000": 1}
    assert values(text, "tickgate_http_requests_total")["metrics,200"] >= 1
    assert values(text, "tickgate_http_request_seconds_count")["metrics"] >= 1


async def test_a_code_that_a_client_made_up_is_counted_as_other(rig, http):
    async with rig.connect() as client:
        await client.close(4999)
    async with rig.connect() as client:
        await client.close(3999)

    async def are_counted() -> bool:
        return values(await text_of(http, local="1"), "tickgate_client_closes_total") == {"other": 2}

    await until(are_counted)


async def test_the_last_hop_is_from_a_ping_to_its_answer(make_rig):
    async with (
        make_rig(["PINGUSDT"], ClientLimits(ping_interval_s=0.01)) as rig,
        httpx.AsyncClient(base_url=rig.http) as http,
        rig.connect(),
    ):

        async def is_measured() -> bool:
            return values(await text_of(http, local="1"), "tickgate_latency_seconds_count")["client"] > 0

        await until(is_measured)


async def test_gateways_that_share_a_bus_answer_for_each_other(rig, http, start_gateway):
    async with start_gateway() as port:
        own = values_by_gateway(await text_of(http, local="1"))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as other:
            assert len(values_by_gateway(await text_of(other, local="1")) | own) == len(own) + 1
            assert own < values_by_gateway(await text_of(other))


def values_by_gateway(text: str) -> set[str]:
    return {
        one.labels["gateway"]
        for family in text_string_to_metric_families(text)
        for one in family.samples
        if one.name == "tickgate_clients"
    }


async def test_the_same_is_under_the_versioned_path(http):
    answer = await http.get("/api/v1/metrics", params={"local": "1"})
    assert "tickgate_clients" in answer.text
    assert (await http.get("/metrics", params={"local": "2"})).status_code == 400


async def parts_of(http: httpx.AsyncClient) -> dict[str, dict[str, str]]:
    return (await http.get("/api/v1/health/detailed")).json()["parts"]


async def test_details_name_each_part_with_its_reason_and_health_names_no_reason(rig, http):
    await rig.prices_arrive(next(iter(rig.ids)), 1.0)
    details = await parts_of(http)
    assert set(details) == {"bus", "feeds", "recorder", "store", "cache", "metadata"}
    assert details["recorder"] == {"state": "down", "reason": "does not answer"}
    for path in ("/healthz", "/api/v1/health"):
        said = (await http.get(path)).json()
        assert said["status"] == "degraded"
        assert said["parts"]["recorder"] == "down"
        assert "does not answer" not in str(said)


async def test_a_recorder_is_in_health_metrics_and_stats(rig, http):
    report = RecorderReport(
        bars=BarFigures(written=5, fetched=9),
        store=StoreFigures(down_since_ms=1, reason="connection refused"),
    )
    answer = Endpoint("recorder", subjects.REQUEST_RECORDER, lambda *_: msgspec.json.encode(report))
    recorder = WireRecorder(rig.bus, rig.venue, rig.ids)
    await rig.bus.serve("test-recorder", "1.0.0", "a recorder", [answer], {})
    await recorder.publish([])

    async def is_heard() -> bool:
        return (await parts_of(http))["recorder"]["state"] == "ok"

    await until(is_heard)
    assert (await parts_of(http))["store"] == {"state": "down", "reason": "connection refused"}
    text = await text_of(http)
    assert values(text, "tickgate_recorder_written_bars_total") == {"": 5}
    assert values(text, "tickgate_store_up") == {"": 0}
    stats = (await http.get("/stats")).json()
    assert stats["rest_catchup_candles_total"] == 9
    assert stats["recorded"]["batches"] >= 1


async def test_stats_have_the_names_of_trading_chart(http):
    await http.get("/version")
    stats = (await http.get("/stats")).json()
    assert (stats["ws_state"], stats["last_msg_age_ms"], stats["reconnect_attempts_total"]) == (0, None, 0)
    assert stats["uptime_s"] >= 0
    assert stats["route_latencies"]["version"]["count"] == 1
    assert stats["candle_replays"] == 0
