"""A real influxd, what a 2.x in front of it is asked for, and bars to keep."""

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import numpy as np
import pytest

from gateway.processes.ports import find_free_port
from protocol.bars import BAR, Bars

TOKEN = "a-token"
ORG = "an org"
_databases = itertools.count(1)


@pytest.fixture
def make_bars() -> Callable[..., Bars]:
    """Build bars of a minute with whatever numbers; versions rise from the given one."""

    def make(count: int = 3, first: int = 0, version: int = 1, step_ms: int = 60_000, seed: int = 0) -> Bars:
        draw = np.random.default_rng(seed)
        bars = np.zeros(count, BAR)
        bars["open_ms"] = 1_780_000_020_000 + (first + np.arange(count)) * step_ms
        bars["version"] = version + np.arange(count)
        for name in ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy"):
            bars[name] = draw.random(count) * 10.0 ** draw.integers(-8, 9)
        bars["trades"] = draw.integers(0, 2**32, count)
        bars["revision"] = draw.integers(0, 2**16, count)
        bars["flags"] = draw.integers(0, 8, count)
        return bars

    return make


@pytest.fixture(scope="session")
def influxd() -> str:
    """Debian's influxd 1.6."""
    program = shutil.which("influxd")
    if program is None:
        message = "influxd is missing: apt-get install influxdb"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    return program


@pytest.fixture(scope="session")
def influx_url(influxd: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running one, for all the tests of a process."""
    url = f"http://127.0.0.1:{find_free_port()}"
    with run_influx(influxd, tmp_path_factory.mktemp("influx"), url):
        yield url


@pytest.fixture
def start_influx(influxd: str, tmp_path: Path) -> Callable[[str], AbstractContextManager[None]]:
    """Start one of the test's own at an address, with what it kept so far."""
    folder = tmp_path / "influx"
    folder.mkdir()
    return lambda url: run_influx(influxd, folder, url)


@contextlib.contextmanager
def run_influx(program: str, folder: Path, url: str) -> Iterator[None]:
    """Run influxd with its data in a folder until the block is left."""
    config = folder / "influxdb.conf"
    config.write_text(
        f"""
        reporting-disabled = true
        bind-address = "127.0.0.1:{find_free_port()}"
        [meta]
        dir = "{folder}/meta"
        [data]
        dir = "{folder}/data"
        wal-dir = "{folder}/wal"
        query-log-enabled = false
        [http]
        bind-address = "{urlsplit(url).netloc}"
        log-enabled = false
        [monitor]
        store-enabled = false
        """
    )
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen([program, "-config", config], stdout=log, stderr=log)
    try:
        _until_it_answers(process, url)
        yield
    finally:
        process.kill()
        process.wait()


def _until_it_answers(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/ping").status_code == 204:
                return
        time.sleep(0.02)
    raise RuntimeError("influxd does not answer")


@pytest.fixture
def database() -> str:
    """A name that no other test uses, and that must be quoted."""
    return f'test "{os.getpid()}" {next(_databases)}'


@dataclass
class Front:
    """What stands where a 2.x would, and what it was asked."""

    url: str
    writes: list[dict[str, list[str]]] = field(default_factory=list)
    """The parameters of each write, and its lines."""


@pytest.fixture(scope="session")
def influx2_url(influx_url: str) -> Iterator[Front]:
    """Takes what a 2.x takes, refuses what it refuses, and has influxd keep it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            front.writes.append({**asked, "lines": body.decode().splitlines()})
            if urlsplit(self.path).path == "/query":  # DELETE
                return self.pass_on(http.post("/query", params=asked))
            if urlsplit(self.path).path != "/api/v2/write" or asked.keys() != {"org", "bucket", "precision"}:
                return self.refuse(404, "not found", "no such path")
            http.post("/query", params={"q": f"CREATE DATABASE {_quoted(asked['bucket'][0])}"})
            parameters = {"db": asked["bucket"], "precision": asked["precision"]}
            return self.pass_on(http.post("/write", params=parameters, content=body))

        def do_GET(self) -> None:
            asked = parse_qs(urlsplit(self.path).query)
            http.post("/query", params={"q": f"CREATE DATABASE {_quoted(asked['db'][0])}"})
            self.pass_on(http.get(self.path))

        def parse_request(self) -> bool:
            if not super().parse_request():
                return False
            if self.headers["Authorization"] != f"Token {TOKEN}":
                self.refuse(401, "unauthorized", "unauthorized access")
                return False
            return True

        def refuse(self, status: int, code: str, message: str) -> None:
            self.answer(status, json.dumps({"code": code, "message": message}).encode())

        def pass_on(self, response: httpx.Response) -> None:
            self.answer(response.status_code, response.content)

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with httpx.Client(base_url=influx_url) as http, ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        front = Front(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield front
        server.shutdown()
        thread.join()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '\\"') + '"'
