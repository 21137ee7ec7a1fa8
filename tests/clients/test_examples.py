"""Every example runs against a demo, and prints what it says that it prints."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError

from bench.demo import WITHOUT_A_PAST
from gateway.processes.ports import find_free_port
from gateway.roles.folder import bus_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "clients" / "examples"
TIMEOUT_S = 60
CANDLE_TIMEOUT_S = 100
"""A minute may just have begun."""


pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Demo:
    data: Path
    port: int

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def nats(self) -> str:
        return bus_of(self.data)


@contextmanager
def output_of(*argv: str) -> Iterator[Iterator[str]]:
    """The lines that a program prints, as they come; it is asked to stop afterwards."""
    command, environ = [sys.executable, *argv], os.environ | WITHOUT_A_PAST
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environ) as process:
        assert process.stdout is not None
        try:
            yield iter(process.stdout)
        finally:
            process.terminate()
            process.wait(TIMEOUT_S)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    one = Demo(tmp_path_factory.mktemp("data"), find_free_port())
    flags = {
        "--port": one.port,
        "--sim-port": 0,
        "--symbols": 6,
        "--workers": 1,
        "--data": one.data,
    }
    words = [str(word) for pair in flags.items() for word in pair]
    with output_of("-m", "gateway.cli", "demo", *words) as lines:
        assert any("Ctrl-C" in line for line in lines)
        yield one


def printed_by(example: str, *arguments: object, timeout_s: float = TIMEOUT_S) -> list[str]:
    """Run an example to its end and return the lines that it printed."""
    command = [sys.executable, FOLDER / f"{example}.py", *map(str, arguments)]
    ended = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, timeout=timeout_s, check=True, cwd=ROOT
    )
    return ended.stdout.splitlines()


def tickgate(demo: Demo, *words: str, said: str = "") -> str:
    command = [sys.executable, "-m", "gateway.cli", *words, "--data", str(demo.data)]
    return subprocess.run(command, input=said, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT).stdout


def test_the_index_names_every_example():
    named = re.findall(r"\]\((\w+\.py)\)", (FOLDER / "README.md").read_text(encoding="utf-8"))
    assert sorted(named) == sorted(one.name for one in FOLDER.glob("*.py"))


def test_prices_coalesce_and_trades_do_not(demo):
    lines = printed_by("slow_consumer", demo.ws, 1, 3)
    assert any(re.fullmatch(r"BTCUSDT \d+\.\d+ stands for \d+ changes", line) for line in lines)
    trades = [line for line in lines if " trades, " in line]
    assert trades
    assert all(line.endswith(", 0 missing") for line in trades)
    assert re.fullmatch(r"\d+ prices were replaced by newer ones before they were read", lines[-1])


def test_trades_go_on_in_the_file_where_they_ended(demo, tmp_path):
    file = tmp_path / "trades.jsonl"
    first = printed_by("resume_after_a_restart", demo.ws, "BTCUSDT", file, 10)
    with file.open("a") as out:
        out.write('{"id": 17')  # a crash in the middle of a line
    second = printed_by("resume_after_a_restart", demo.ws, "BTCUSDT", file, 10)
    ids = [json.loads(line)["id"] for line in file.read_text().splitlines()]
    assert ids == list(range(ids[0], ids[0] + 20))
    assert first == ["BTCUSDT begins"]
    assert second == [f"BTCUSDT goes on after {ids[9]}"]


async def test_an_alert_is_given_when_a_fresh_price_crosses_the_level(gateway):
    """The demo's prices may stay on one side for as long as they like: this gateway's are the test's."""
    command = [sys.executable, str(FOLDER / "price_alert.py"), gateway.url, "BTCUSDT", "100", "2"]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, cwd=ROOT)
    peer = await gateway.peer()
    peer.price(1, 120.0)  # from years ago
    await peer.heard_back()
    gateway.time_us = time.time_ns() // 1_000
    for price in (99.0, 98.0, 100.0, 100.5):
        peer.price(1, price)
        await peer.heard_back()  # else the next one takes its place
    peer.price(1, 99.5)
    printed, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert printed.decode().splitlines() == [
        "watching BTCUSDT",
        "BTCUSDT rose above 100.00: 100.5 (SIMULATED)",
        "BTCUSDT fell below 100.00: 99.5 (SIMULATED)",
    ]


def test_a_bot_follows_the_market_watch_of_its_user(demo, tmp_path):
    tickgate(demo, "user", "add", "ann", "--password-stdin", said="correct horse battery\n")
    scopes = ("--scope", "read", "--scope", "watch")
    key = tmp_path / "bot.key"
    key.write_text(tickgate(demo, "key", "add", "ann", "--name", "bot", *scopes))
    lines = printed_by("market_watch_bot", key, demo.ws, "SOLUSDT", 2)
    assert lines[:2] == ["on the list: nothing", "SOLUSDT was added"]
    assert re.fullmatch(r"SOLUSDT \d+\.\d+", lines[2])
    assert printed_by("market_watch_bot", key, demo.ws, "SOLUSDT", 1)[0] == "on the list: SOLUSDT"


def test_candles_are_a_table(demo):
    lines = printed_by("candles_to_pandas", demo.nats, "BTCUSDT", "1m", 50)
    assert re.fullmatch(r"BTCUSDT 50 bars of 1m, complete up to \d\d:\d\d:\d\d", lines[0])
    assert re.fullmatch(r"mean of close \d+\.\d+", lines[-1])


def test_every_candle_comes_once_over_restarts(demo, tmp_path):
    arguments = (demo.nats, "BTCUSDT,ETHUSDT", tmp_path / "candle.txt", 1)
    (first,) = printed_by("every_candle_once", *arguments, timeout_s=CANDLE_TIMEOUT_S)
    (second,) = printed_by("every_candle_once", *arguments, timeout_s=CANDLE_TIMEOUT_S)
    pattern = r"\d+ (BTC|ETH)USDT \d\d:\d\d \d+\.\d+ (final|corrected, revision \d+)"
    assert re.fullmatch(pattern, first)
    assert re.fullmatch(pattern, second)
    assert int(first.split()[0]) < int(second.split()[0])


async def test_a_service_answers_what_an_amount_is_worth(demo):
    with output_of(str(FOLDER / "value_service.py"), demo.nats) as lines:
        assert next(lines) == "answering value.<symbol>\n"
        async with asyncio.timeout(TIMEOUT_S), await nats.connect(demo.nats) as client:
            answer = await asked(client, "value.BTCUSDT", b"2")
            while answer.headers:  # no price has come yet
                answer = await asked(client, "value.BTCUSDT", b"2")
            refusal = await asked(client, "value.BTCUSDT", b"much")
            unknown = await asked(client, "value.NOSUCHUSDT", b"2")
    assert re.fullmatch(rb"\d+\.\d\d BINANCE:BTCUSDT SIMULATED", answer.data)
    assert refusal.headers["Nats-Service-Error-Code"] == "400"
    assert unknown.headers["Nats-Service-Error-Code"] == "503"


async def asked(client: Client, subject: str, payload: bytes) -> Msg:
    """Ask until somebody is there: the service may have said that it is before the server knew of it."""
    while True:
        with suppress(NoRespondersError):
            return await client.request(subject, payload, timeout=5)
        await asyncio.sleep(0.05)
