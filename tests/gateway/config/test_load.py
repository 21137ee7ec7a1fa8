"""The settings table, and the three sources that fill it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.load import LINES, BadSettings, Settings, changed, environment_of, gather, load_settings
from gateway.config.values import format_value, parse_duration_s

SEED_ENVIRONMENT = {
    "SERVER_HOST": "0.0.0.0",
    "SERVER_PORT": "8080",
    "SERVER_READ_TIMEOUT": "15s",
    "SERVER_WRITE_TIMEOUT": "15s",
    "MYSQL_HOST": "localhost",
    "MYSQL_PORT": "3306",
    "MYSQL_DATABASE": "trading",
    "MYSQL_USER": "trading",
    "MYSQL_PASSWORD": "swordfish",
    "INFLUX_URL": "http://localhost:8086",
    "INFLUX_TOKEN": "my-super-secret-auth-token",
    "INFLUX_ORG": "trading-org",
    "INFLUX_BUCKET": "trading",
    "REDIS_ADDR": "localhost:6379",
    "REDIS_PASSWORD": "",
    "REDIS_DB": "0",
    "NATS_URL": "nats://localhost:4222",
    "EXCHANGE_WS_ENDPOINT": "wss://stream.binance.com:9443",
    "EXCHANGE_REST_ENDPOINT": "https://api.binance.com",
    "EXCHANGE_MAX_CONNECTIONS": "3",
    "FEATURE_ENIGMA_ENABLED": "true",
    "FEATURE_AGGREGATION_ENABLED": "true",
    "FEATURE_BINARY_WEBSOCKET": "true",
}
SEED_YAML = """\
server:
  host: 0.0.0.0
  port: 8080
  cors:
    allowed_origins: ["http://localhost:5173"]
    allowed_methods: ["GET", "POST", "PUT", "DELETE", "OPTIONS"]
    allowed_headers: ["Content-Type", "Authorization"]
    expose_headers: ["X-Total-Count"]
    allow_credentials: true
database:
  mysql:
    host: localhost
    port: 3306
    database: trading
    max_open_conns: 25
    max_idle_conns: 10
    conn_max_lifetime: 5m
  influx:
    url: http://localhost:8086
    org: trading-org
    bucket: trading
    timeout: 5s
cache:
  redis:
    addr: localhost:6379
    pool_size: 10
    min_idle_conns: 5
messaging:
  nats:
    url: nats://localhost:4222
    client_name: trade-back
    cluster_id: trading-cluster
exchange:
  ws_endpoint: wss://stream.binance.com:9443
  rest_endpoint: https://api.binance.com
  max_connections: 3
  reconnect_interval: 5s
  ping_interval: 30s
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "config.yaml"
    file.write_text(text)
    return file


def mistakes_of(config: Path | None, environ: dict[str, str], overrides: dict[str, object]) -> list[str]:
    with pytest.raises(BadSettings) as caught:
        load_settings(config, environ, overrides)
    return caught.value.mistakes


def test_nothing_configured_gives_the_defaults():
    assert load_settings(None, {}, {}) == Settings()


def test_every_environment_name_of_the_first_system_works():
    settings = load_settings(None, SEED_ENVIRONMENT, {})
    assert settings.server.host == "0.0.0.0"
    assert settings.server.read_timeout_s == 15
    assert settings.database.mysql.password.get_secret_value() == "swordfish"
    assert settings.cache.redis.addr == "localhost:6379"
    assert settings.messaging.nats.url == "nats://localhost:4222"
    assert settings.exchange.ws_endpoint == "wss://stream.binance.com:9443"
    assert set(SEED_ENVIRONMENT) <= {line.env for line in LINES.values()}


def test_the_whole_file_of_the_first_system_works(tmp_path):
    settings = load_settings(write(tmp_path, SEED_YAML), {}, {})
    assert settings.server.cors.allowed_origins == ("http://localhost:5173",)
    assert settings.server.cors.allow_credentials
    assert settings.database.mysql.conn_max_lifetime_s == 300
    assert settings.messaging.nats.client_name == "trade-back"
    assert settings.exchange.reconnect_interval_s == 5


def test_flags_win_over_environment_over_file(tmp_path):
    file = write(tmp_path, "server: {port: 1, host: a, gateways: 2}")
    environ = {"SERVER_PORT": "3", "SERVER_HOST": "b"}
    server = load_settings(file, environ, {"server.port": 4}).server
    assert (server.port, server.host, server.gateways) == (4, "b", 2)


def test_config_path_names_the_file_and_the_flag_wins(tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text("server: {port: 2}")
    environ = {"CONFIG_PATH": str(write(tmp_path, "server: {port: 1}"))}
    assert load_settings(None, environ, {}).server.port == 1
    assert load_settings(other, environ, {}).server.port == 2


def test_an_empty_environment_variable_is_not_set(tmp_path):
    file = write(tmp_path, "server: {port: 1}")
    assert load_settings(file, {"SERVER_PORT": "", "EXCHANGE_SYMBOLS": ""}, {}).server.port == 1


def test_an_empty_section_and_an_empty_key_say_nothing(tmp_path):
    assert load_settings(write(tmp_path, "server:\nclients: {max_symbols: }\n"), {}, {}) == Settings()


def test_all_mistakes_come_at_once_each_with_its_place_and_source(tmp_path):
    file = write(tmp_path, "server: {prot: 1, read_timeout: soon}\nclients: 3\nunheard: {of: 1}")
    mistakes = mistakes_of(file, {"SERVER_PORT": "99999"}, {"server.gateways": 0})
    assert len(mistakes) == 6
    said = "\n".join(mistakes)
    assert f"server.prot: no such setting, did you mean server.port? ({file})" in said
    assert "clients: a section, it cannot be 3" in said
    assert "unheard: no such setting" in said
    assert (
        "server.port: '99999': input should be less than or equal to 65535 (environment: SERVER_PORT)" in said
    )
    assert "server.read_timeout: 'soon': write a duration as 15s" in said
    assert "(--gateways)" in said


@pytest.mark.parametrize("text", ["[1, 2]", "server: {port: [", "just text"])
def test_a_file_that_is_no_settings_is_said_to_be_so(tmp_path, text):
    file = write(tmp_path, text)
    assert mistakes_of(file, {}, {})[0].startswith(f"{file}: ")


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path):
    assert mistakes_of(tmp_path / "none.yaml", {}, {}) == [f"{tmp_path}/none.yaml: No such file or directory"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("exchange.ws_endpoint", "https://stream.binance.com"),
        ("exchange.rest_endpoint", "api.binance.com"),
        ("exchange.rest_endpoint", "http://host:99999"),
        ("exchange.venues", "binance,kraken"),
        ("exchange.streams", ""),
        ("exchange.symbols", "BTC USDT"),
        ("cache.redis.addr", "localhost"),
        ("messaging.nats.url", "http://localhost"),
        ("messaging.nats.credentials", "/nowhere/at.all"),
        ("clients.ping_interval", "0s"),
        ("clients.ping_interval", float("inf")),
        ("clients.ping_interval", "-5s"),
        ("sim.rate", "nan"),
        ("log.level", "loud"),
        ("features.binary_websocket", "perhaps"),
        ("processor.workers", 65),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_name(path, value):
    assert mistakes_of(None, {}, {path: value})[0].startswith(f"{path}: ")


def test_a_certificate_without_its_key_is_refused(tmp_path):
    file = write(tmp_path, "x")
    assert "go together" in mistakes_of(None, {"NATS_TLS_CERT": str(file)}, {})[0]


def test_symbols_are_written_by_hand_and_still_found():
    symbols = load_settings(
        None, {"EXCHANGE_SYMBOLS": " btcusdt, 币安人生usdt,ethusdt.p "}, {}
    ).exchange.symbols
    assert symbols == ("BTCUSDT", "币安人生USDT", "ETHUSDT.P")
    assert load_settings(None, {"EXCHANGE_SYMBOLS": "ALL"}, {}).exchange.symbols == ("all",)


def test_a_cluster_is_several_servers_with_or_without_scheme():
    url = load_settings(None, {"NATS_URL": "a:4222, tls://b:4222,"}, {}).messaging.nats.url
    assert url == "nats://a:4222,tls://b:4222"


def test_secrets_are_in_no_repr_and_in_no_complaint():
    environ = {**SEED_ENVIRONMENT, "NATS_URL": "nats://me:swordfish@host"}
    assert "swordfish" not in repr(load_settings(None, environ, {}))
    assert "my-super-secret" not in repr(load_settings(None, environ, {}))
    assert "swordfish" not in "".join(mistakes_of(None, {"NATS_URL": "http://me:swordfish@host"}, {}))


def test_settings_cannot_be_changed_in_place():
    with pytest.raises(ValueError, match="frozen"):
        Settings().server.port = 1  # type: ignore[misc]  # that is the test


def test_what_is_passed_to_a_child_is_what_it_reads(tmp_path):
    settings = load_settings(write(tmp_path, SEED_YAML), SEED_ENVIRONMENT, {"exchange.symbols": "all"})
    inherited = {"CONFIG_PATH": "/gone.yaml", "SERVER_PORT": "1"}
    assert load_settings(None, {**inherited, **environment_of(settings)}, {}) == settings
    assert load_settings(None, environment_of(Settings()), {}) == Settings()


def test_changed_keeps_everything_else():
    settings = load_settings(None, SEED_ENVIRONMENT, {})
    assert changed(settings, {"server.port": 1}).server.port == 1
    assert changed(changed(settings, {"server.port": 1}), {"server.port": 8080}) == settings


def test_every_setting_has_one_name_of_each_kind_and_a_meaning():
    lines = list(LINES.values())
    assert len({line.env for line in lines}) == len(lines)
    assert all(line.env.isupper() and line.meaning for line in lines)
    flags = [line.flag for line in lines if line.flag and line.path != "sim.symbols"]
    assert len(set(flags)) == len(flags)


def test_the_source_of_each_value_is_known(tmp_path):
    given, _ = gather(write(tmp_path, "log: {level: debug}"), {"SERVER_PORT": "1"}, {"sim.seed": 3})
    assert given["log.level"].source.endswith("config.yaml: log.level")
    assert given["server.port"].source == "environment: SERVER_PORT"
    assert given["sim.seed"].source == "--seed"


@pytest.mark.parametrize(
    ("text", "seconds"), [("15s", 15), ("5m", 300), ("1m30s", 90), ("250ms", 0.25), ("1.5h", 5400), ("7", 7)]
)
def test_durations_are_read_as_people_write_them(text, seconds):
    assert parse_duration_s(text) == pytest.approx(seconds)


@given(st.floats(min_value=1e-9, max_value=1e6))
def test_a_duration_survives_being_passed_on(seconds):
    settings = load_settings(None, {}, {"clients.ping_interval": seconds})
    again = load_settings(None, environment_of(settings), {})
    assert again.clients.ping_interval_s == settings.clients.ping_interval_s
    assert format_value(seconds) == environment_of(settings)["CLIENTS_PING_INTERVAL"]


@pytest.mark.parametrize(
    ("host", "anonymous", "may"),
    [
        ("127.0.0.1", "auto", True),
        ("localhost", "auto", True),
        ("::1", "auto", True),
        ("0.0.0.0", "auto", False),
        ("gateway.example.com", "auto", False),
        ("0.0.0.0", "yes", True),
        ("127.0.0.1", "no", False),
    ],
)
def test_strangers_may_read_where_only_this_machine_can_ask_or_it_is_said(host, anonymous, may):
    settings = load_settings(None, {"SERVER_HOST": host, "AUTH_ANONYMOUS": anonymous}, {})
    assert settings.anybody_may_read is may
