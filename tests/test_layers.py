"""The import rules, as a test. The tables are the architecture."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "protocol": set(),
    "indicators": set(),
    "processors": {"protocol", "indicators"},
    "clients": {"protocol"},
    "gateway": {"protocol", "indicators", "processors", "clients", "bench"},
    "bench": {"protocol", "indicators", "processors", "clients", "gateway"},
}
"""Package -> what of ours it may import, beside itself."""
ONLY_IN = {
    "nats": {"processors/bus.py", "clients/bus", "clients/examples/value_service.py"},
    "redis": {"gateway/cache"},
    "sqlalchemy": {"gateway/metadata"},
    "alembic": {"gateway/metadata"},
    "argon2": {"gateway/accounts/passwords.py"},
    "prometheus_client": {"gateway/api/metrics.py"},
    "duckdb": {"gateway/store", "bench/store.py"},
    "urllib3": {"gateway/store/influx.py"},
    "influxdb_client": {"gateway/store/influx.py", "gateway/store/influx_text.py"},
    "picows": {"gateway/feeds/connections/socket.py"},
    "cryptofeed": {"bench/ingest/cryptofeed.py"},
    "socketify": {"bench/fanout/peers"},
    "matplotlib": {"bench/plots.py"},
    "yaml": {"gateway/config/load.py"},
    "click": {"gateway/cli.py", "gateway/commands", "gateway/config/flags.py", "bench/commands.py"},
    "numpy": {
        "protocol",
        "indicators",
        "processors",
        "gateway/api",
        "gateway/history",
        "gateway/recorder",
        "gateway/sim",
        "gateway/store",
        "gateway/ws",
        "clients",
        "bench",
    },
    "httpx": {"gateway/feeds", "gateway/roles/supervisor.py", "gateway/store/influx.py", "bench"},
    "gateway.sim": {"gateway/sim", "gateway/roles/simulator.py", "bench/codecs/sample.py"},
    "gateway.cli": set(),
    "gateway.roles": {"gateway/roles", "gateway/commands", "gateway/cli.py"},
    "gateway.api": {"gateway/api", "gateway/roles"},
    "gateway.feeds": {
        "gateway/feeds",
        "gateway/recorder",
        "gateway/roles",
        "gateway/doctor.py",
        "gateway/processes/keeper.py",
        "bench/mute.py",
    },
    "clients": {"clients", "gateway/cli.py", "gateway/api/app.py", "bench"},
    "bench": {"bench", "gateway/cli.py"},
}
"""Module -> the only files and folders that may import it: one door to each outside service."""
INSIDE = {
    "gateway/native": {"gateway.native"},
    "gateway/exchanges": {"gateway.exchanges"},
    "gateway/feeds": {"gateway.exchanges", "gateway.feeds", "gateway.cache"},
    "gateway/store": {"gateway.store", "gateway.config"},
    "gateway/cache": {"gateway.cache"},
    "gateway/metadata": {"gateway.metadata", "gateway.config"},
    "gateway/accounts": {"gateway.accounts", "gateway.metadata", "gateway.cache", "gateway.addresses"},
}
"""Folder -> what of the gateway it may import."""
NEVER_AWAITS = (
    "protocol",
    "indicators",
    "gateway/exchanges",
    "gateway/feeds/gaps.py",
    "gateway/feeds/dynamic_symbols.py",
    "gateway/feeds/trades/lane.py",
)
ENVIRONMENT = {"gateway/config/flags.py", "bench/demo.py"}
"""Who may look at os.environ: the command line, and the bench that starts one."""

FILES = sorted(
    path.relative_to(ROOT).as_posix() for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py")
)


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_in(name: str, places: set[str] | tuple[str, ...], separator: str = "/") -> bool:
    return any(name == place or name.startswith(place + separator) for place in places)


def violations(file: str, source: str) -> list[str]:
    """List what a file of this name may not do and does."""
    tree = ast.parse(source)
    package = file.partition("/")[0]
    found = []
    for name in imports(tree):
        top = name.partition(".")[0]
        if top in MAY_IMPORT and top != package and top not in MAY_IMPORT[package]:
            found.append(f"{package} may not import {name}")
        for module, allowed in ONLY_IN.items():
            if is_in(name, {module}, ".") and not is_in(file, allowed):
                found.append(f"{name} is only for {', '.join(sorted(allowed)) or 'nobody'}")
        for folder, own in INSIDE.items():
            if is_in(file, {folder}) and top == "gateway" and not is_in(name, own, "."):
                found.append(f"{folder} may not import {name}")
    if is_in(file, NEVER_AWAITS):
        waits = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
        found += [f"line {node.lineno} is async" for node in ast.walk(tree) if isinstance(node, waits)]
    if file not in ENVIRONMENT:
        reads = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
        found += [
            f"line {node.lineno} reads the environment"
            for node in reads
            if node.attr in ("environ", "getenv")
        ]
    return found


@pytest.mark.parametrize("file", FILES)
def test_a_file_stays_in_its_layer(file):
    assert violations(file, (ROOT / file).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("protocol/frames.py", "from gateway import config"),
        ("protocol/frames.py", "import processors.bus"),
        ("indicators/averages.py", "import protocol"),
        ("clients/stream.py", "from gateway.config.load import Settings"),
        ("gateway/ws/fanout.py", "import nats"),
        ("gateway/ws/fanout.py", "from nats.aio.client import Client"),
        ("gateway/feeds/hub.py", "import picows"),
        ("gateway/exchanges/binance.py", "from gateway.feeds.connections import pool"),
        ("gateway/exchanges/binance.py", "async def run(): ..."),
        ("gateway/feeds/hub.py", "from gateway.config.load import Settings"),
        ("gateway/api/app.py", "from gateway.roles.server import run"),
        ("gateway/ws/fanout.py", "from gateway import roles"),
        ("gateway/ws/fanout.py", "from gateway.sim.market.trades import Market"),
        ("gateway/natsd.py", "import os\nos.environ['A']"),
        ("gateway/natsd.py", "import os\nos.getenv('A')"),
        ("gateway/config/load.py", "def later():\n    from gateway.cli import main"),
    ],
)
def test_a_violation_is_seen(file, source):
    assert violations(file, source)


def test_there_are_files_to_look_at():
    assert len(FILES) > 40
