"""The commands as a person meets them: help, settings, mistakes and exit codes."""

import socket

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.config.load import LINES

COMMANDS = sorted(main.commands)


@pytest.fixture
def tickgate(monkeypatch: pytest.MonkeyPatch, logs_put_back: None):
    """Run a command in an environment that holds nothing of ours."""

    def run(*arguments: str, **environ: str) -> Result:
        monkeypatch.setattr("gateway.config.flags.environ", environ)
        monkeypatch.setattr("gateway.cli.environ", environ)
        return CliRunner().invoke(main, arguments, catch_exceptions=False)

    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_text(tickgate, command):
    result = tickgate(command, "--help")
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 4


def test_the_commands_that_other_things_rely_on_are_there():
    assert set(COMMANDS) >= {
        "demo", "up", "feed", "recorder", "gateway", "sim", "watch", "doctor", "config", "bench",
    }  # fmt: skip


def test_the_help_says_what_the_exit_codes_are(tickgate):
    assert "Exit codes: 0 stopped as asked" in " ".join(tickgate("--help").output.split())


def test_the_version_is_said(tickgate):
    assert tickgate("--version").output.startswith("tickgate, version ")


def test_config_says_where_each_value_comes_from(tickgate, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("server: {host: 0.0.0.0}")
    lines = tickgate("config", "--config", str(file), SERVER_PORT="9000").output.splitlines()
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in lines}
    assert rows["server.port"] == "9000 environment: SERVER_PORT"
    assert rows["server.host"] == f"0.0.0.0 {file}: server.host"
    assert rows["server.gateways"] == "1 default"
    assert rows.keys() == LINES.keys()


def test_config_hides_secrets(tickgate):
    result = tickgate("config", INFLUX_TOKEN="swordfish", NATS_URL="nats://me:swordfish@host")
    assert "swordfish" not in result.output
    assert "nats://********@host" in result.output


def test_wrong_settings_are_told_together_without_a_traceback(tickgate):
    result = tickgate("demo", "--port", "abc", SIM_PORT="-1")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == "Error: the settings are wrong:"
    assert len(result.stderr.splitlines()) == 3


def test_an_unknown_flag_is_a_usage_error(tickgate):
    assert tickgate("demo", "--prot", "1").exit_code == 2


@pytest.mark.parametrize("command", ["feed", "gateway"])
def test_a_role_on_its_own_asks_for_a_bus(tickgate, command):
    result = tickgate(command)
    assert result.exit_code == 2
    assert "NATS_URL" in result.stderr


@pytest.mark.parametrize("shard", ["2/2", "1", "a/b", "-1/2", "0/0"])
def test_a_shard_that_cannot_be_is_refused(tickgate, shard):
    assert tickgate("feed", "--shard", shard).exit_code == 2


@pytest.mark.parametrize("command", ["sim", "gateway", "demo", "up"])
def test_a_taken_port_is_one_line_and_exit_code_1(tickgate, tmp_path, command):
    folder = [] if command == "gateway" else ["--data", str(tmp_path)]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = tickgate(command, "--port", port, *folder, NATS_URL="nats://127.0.0.1:1")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: cannot listen on 127.0.0.1 port")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("fault", ["nonsense", "cut,share=2", "cut,colour=red"])
def test_a_fault_that_cannot_be_is_refused(tickgate, fault):
    result = tickgate("sim", "--port", "0", "--fault", fault)
    assert result.exit_code == 2
    assert "--fault" in result.stderr


def test_flags_of_the_table_are_flags_of_the_commands(tickgate):
    assert "SERVER_PORT" in tickgate("up", "--help").output
    assert "--sim-port" in tickgate("demo", "--help").output
