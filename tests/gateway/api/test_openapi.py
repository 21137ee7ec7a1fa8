"""The document is true: what is generated from it is answered as it says, by a real gateway."""

import asyncio
import re
import sys
from html import escape

import httpx
import msgspec
import pytest
from recorder_at_the_wire import WireRecorder, make_bars, minutes_ago
from test_api_enigma import KNOWN

from gateway.api import auth
from gateway.api.app import OPERATIONS
from gateway.api.openapi import document, page
from gateway.natsd import nats_server
from gateway.processes.ports import find_free_port
from protocol.intervals import MINUTES

MAX_EXAMPLES = 15


@pytest.fixture
async def nats_url(tmp_path):
    """A bus of its own: what other tests registered is not asked for."""
    async with nats_server(tmp_path, find_free_port(), {}) as server:
        yield server.url


def test_every_operation_is_described_under_a_name_of_its_own():
    described = document(OPERATIONS, "1.2.3")
    names = [one.name for one in OPERATIONS]
    described_names = [one["operationId"] for path in described["paths"].values() for one in path.values()]
    assert len(set(names)) == len(names)
    assert sorted(described_names) == sorted(names)
    assert described["openapi"] == "3.1.0"
    assert described["info"]["version"] == "1.2.3"


def test_parameters_of_a_path_are_all_declared():
    for one in OPERATIONS:
        assert re.findall(r"{(\w+)}", one.path) == [param.name for param in one.params if param.in_path]


def test_every_schema_that_is_referred_to_is_there():
    text = msgspec.json.encode(document(OPERATIONS, "1")).decode()
    known = document(OPERATIONS, "1")["components"]["schemas"]
    assert set(re.findall(r"#/components/schemas/(\w+)", text)) == {*known}


def test_two_methods_of_one_path_are_both_described():
    described = document(auth.OPERATIONS, "1")
    assert described["paths"]["/api/v1/auth/sessions"].keys() == {"get", "delete"}
    login = described["paths"]["/api/v1/auth/login"]["post"]
    assert login["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/LoginBody")
    assert "LoginBody" in described["components"]["schemas"]
    assert "DELETE /api/v1/auth/sessions" in page(auth.OPERATIONS, "1")


def test_what_the_guard_refuses_is_described_by_itself():
    described = document((*OPERATIONS, *auth.OPERATIONS), "1")
    price = described["paths"]["/api/v1/symbols/{symbol}/price"]["get"]
    assert price["responses"].keys() >= {"401", "403", "429", "503"}
    assert price["security"] == [{}, {"session": []}, {"key": []}]
    sessions = described["paths"]["/api/v1/auth/sessions"]["delete"]
    assert sessions["security"] == [{"session": []}, {"key": []}]
    login = described["paths"]["/api/v1/auth/login"]["post"]
    assert login["responses"].keys() == {"200", "400", "401", "403", "413", "429", "431", "503"}
    assert "security" not in login
    assert described["components"]["securitySchemes"].keys() == {"session", "key"}


def test_where_anybody_may_read_they_may_see_how_it_is():
    for anonymous, free in ((True, [{}]), (False, [])):
        figures = document(OPERATIONS, "1", anonymous=anonymous)["paths"]["/metrics"]["get"]
        assert [one for one in figures["security"] if not one] == free


def test_the_page_needs_nothing_from_elsewhere_and_names_everything():
    drawn = page(OPERATIONS, "1")
    assert not re.search(r"https?://|<script|<link", drawn)
    assert all(escape(one.path) in drawn and escape(one.summary) in drawn for one in OPERATIONS)


async def test_the_document_and_the_page_are_served(rig):
    async with httpx.AsyncClient(base_url=rig.http) as http:
        served = await http.get("/openapi.json")
        drawn = await http.get("/docs")
    assert served.json()["paths"].keys() == {one.path for one in OPERATIONS}
    assert drawn.headers["content-type"].startswith("text/html")


async def test_every_described_path_is_served(charted):
    for one in OPERATIONS:
        answer = await charted.http.request(one.method, one.path.replace("{symbol}", "NOSUCH"))
        assert answer.status_code in {*one.answers, *one.refusals()}, (one.path, answer.text)


async def trade_on(rig) -> None:
    while True:
        rig.trade("BTCUSDT", 100.0)
        await asyncio.sleep(1)


async def until_ready(rig) -> None:
    async with asyncio.timeout(5), httpx.AsyncClient(base_url=rig.http) as http:
        while (await http.get("/readyz")).status_code != 200:
            pass


@pytest.mark.timeout(300)
async def test_what_schemathesis_makes_of_the_document_is_answered_as_it_says(make_rig, tmp_path):
    """No 5xx but those that are described, no answer of another shape, wrong input refused."""
    async with (
        make_rig(["BTCUSDT"]) as rig,
        asyncio.TaskGroup() as tasks,
    ):
        recorder = WireRecorder(rig.bus, rig.venue, rig.ids)
        for interval in MINUTES.values():
            first_ms = minutes_ago(interval * 99, interval)
            recorder.hold("BTCUSDT", interval, make_bars(first_ms, 100, interval, running=True))
        recorder.enigma["BTCUSDT"] = KNOWN
        await recorder.start(tasks)
        beating = tasks.create_task(recorder.beat())
        trading = tasks.create_task(trade_on(rig))
        await until_ready(rig)
        # What is too long for any path is refused as that (431), whatever it should have been.
        (tmp_path / "schemathesis.toml").write_text(
            '[checks]\nnegative_data_rejection.expected-statuses = ["4xx", "5xx"]\n'
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "schemathesis.cli", "run", f"{rig.http}/openapi.json",
            "--max-examples", str(MAX_EXAMPLES), "--seed", "1", "--phases", "examples,coverage,fuzzing",
            # A symbol that nobody carries, or a window that ends before it begins, fits the schema.
            "--exclude-checks", "positive_data_acceptance",
            "--no-color", "--suppress-health-check", "all", "--workers", "2",
            cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        beating.cancel()
        trading.cancel()
    assert process.returncode == 0, output.decode()[-10_000:]
