"""The documents say what is: settings, links, commands, and examples that run."""

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bench.demo import WITHOUT_A_PAST
from gateway.cli import main
from gateway.config.load import format_table
from gateway.processes.ports import find_free_port
from gateway.roles.folder import bus_of

ROOT = Path(__file__).parent.parent
SKIPPED = {".venv", ".tools", "node_modules", ".git", "data"}
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in ROOT.rglob("*.md")
    if not SKIPPED.intersection(path.relative_to(ROOT).parts)
)
README = (ROOT / "README.md").read_text(encoding="utf-8")
TIMEOUT_S = 60


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(program: str) -> list[str]:
    """List the command lines of a program in the documents, without comments and settings before them."""
    lines = [
        line
        for name in DOCUMENTS
        for block in blocks((ROOT / name).read_text(), "bash")
        for line in block.splitlines()
    ]
    return [match[1] for line in lines if (match := re.match(rf"(?:[A-Z_]+=\S+ )*{program} ([^#|]+)", line))]


def test_every_setting_is_documented():
    printed = (ROOT / "gateway" / "config" / "SETTINGS.md").read_text(encoding="utf-8")
    assert printed == format_table(), "run: .venv/bin/tickgate config --table > gateway/config/SETTINGS.md"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            file = (ROOT / name).parent / path if path else ROOT / name
            assert file.exists(), target
            assert not anchor or anchor in anchors(file.read_text(encoding="utf-8")), target


def anchors(text: str) -> set[str]:
    """Name the headings as GitHub does."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_both_commands_are_on_the_first_screen():
    first_screen = README.splitlines()[:20]
    assert any(line.startswith("make demo") for line in first_screen)
    assert any(line.startswith("make test") for line in first_screen)


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {command.split()[0] for command in commands("make")}
    assert named
    assert named <= targets


@pytest.mark.parametrize("line", commands("tickgate"))
def test_every_command_that_is_shown_exists_with_its_flags(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("btc.parquet").touch()  # written by the command before
    arguments = shlex.split(line.partition(">")[0])
    command: click.Command = main
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), arguments.pop(0))
        assert found
        command = found
    with click.Context(command) as context:
        command.parse_args(context, arguments)


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Where a demo is that runs, by what the documents call it."""
    port, folder = str(find_free_port()), tmp_path_factory.mktemp("data")
    flags = ["--port", port, "--sim-port", "0", "--workers", "1", "--data", str(folder)]
    with output_of(sys.executable, "-m", "gateway.cli", "demo", *flags) as lines:
        assert any("Ctrl-C" in line for line in lines)
        yield {"127.0.0.1:8080": f"127.0.0.1:{port}", "nats://127.0.0.1:4222": bus_of(folder)}


@pytest.mark.parametrize("number", range(len(blocks(README, "python"))))
def test_the_examples_show_prices(number, addresses):
    source = blocks(README, "python")[number]
    for written, real in addresses.items():
        source = source.replace(written, real)
    with output_of(sys.executable, "-c", source) as lines:
        assert re.match(r"(BTC|ETH)USDT \d", next(lines))


@contextlib.contextmanager
def output_of(*argv: str) -> Iterator[Iterator[str]]:
    """The lines that a program prints, as they come; it is asked to stop afterwards."""
    environ = os.environ | WITHOUT_A_PAST
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environ) as process:
        assert process.stdout is not None
        try:
            yield iter(process.stdout)
        finally:
            process.terminate()
            process.wait(TIMEOUT_S)
