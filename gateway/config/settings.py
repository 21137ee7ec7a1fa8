"""The settings: one table, from which environment, YAML file and command line derive.

A setting is one line below: its name, its type, its environment name, its default, what it
is for, its flag if it has one. Its dotted name is its place in the YAML file: `server.port`
is `port:` under `server:`. A name that ends in `_s` here is a duration, written without the
ending there: `read_timeout: 15s`. `load.py` reads the three sources; `SETTINGS.md` is
this table in print.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.config.values import (
    Amount,
    Anonymous,
    Count,
    ExistingFile,
    HostPort,
    HttpUrl,
    LogFormat,
    LogLevel,
    Names,
    NatsUrls,
    Networks,
    Port,
    Seconds,
    Secret,
    SendWay,
    Streams,
    Symbols,
    Text,
    Venues,
    Workers,
    WsUrl,
    Zero,
    is_loopback,
    show_value,
)

_BASES: Final = "BTC ETH BNB SOL XRP DOGE ADA TRX AVAX LINK DOT LTC BCH UNI NEAR APT ATOM XLM ETC FIL"
_SYMBOLS: Final = tuple(f"{base}USDT" for base in _BASES.split())
_STREAMS: Final = ("aggTrade", "bookTicker", "miniTicker", "kline_1m")
_METHODS: Final = ("GET", "POST", "PUT", "DELETE", "OPTIONS")
_HEADERS: Final = ("Content-Type", "Authorization", "If-None-Match")
_EXPOSED: Final = ("ETag", "Retry-After")
_LATER: Final = "(not used yet) "
Lines: TypeAlias = Annotated[int, Field(ge=1, le=2)]
InfluxVersion: TypeAlias = Annotated[int, Field(ge=1, le=2)]


def setting(env: str, default: Any, meaning: str, flag: str | None = None) -> Any:
    """State one line of the table."""
    return Field(default, description=meaning, json_schema_extra={"env": env, "flag": flag})


def _later(env: str, default: Any, meaning: str) -> Any:
    """State a setting that nothing reads yet: it is checked, so that a configuration keeps working."""
    return setting(env, default, _LATER + meaning)


class Section(BaseModel):
    """A group of settings; frozen, and it shows no secret when it is printed."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=lambda name: name.removesuffix("_s"),
        validate_by_name=True,
        validate_by_alias=True,
    )

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, show_value(value) if isinstance(value, str) else value


class Cors(Section):
    allowed_origins: Names = setting(
        "SERVER_CORS_ALLOWED_ORIGINS",
        (),
        "origins of pages elsewhere that may call; * is any, without cookies",
    )
    allowed_methods: Names = setting("SERVER_CORS_ALLOWED_METHODS", _METHODS, "methods they may use")
    allowed_headers: Names = setting("SERVER_CORS_ALLOWED_HEADERS", _HEADERS, "headers they may send")
    expose_headers: Names = setting("SERVER_CORS_EXPOSE_HEADERS", _EXPOSED, "headers they may read")
    allow_credentials: bool = setting("SERVER_CORS_ALLOW_CREDENTIALS", False, "whether they send cookies")


class Server(Section):
    host: Text = setting("SERVER_HOST", "127.0.0.1", "address to listen on; 0.0.0.0 is all of them", "--host")
    port: Port = setting("SERVER_PORT", 8080, "HTTP and WebSocket port; 0 takes a free one", "--port")
    gateways: Count = setting("SERVER_GATEWAYS", 1, "gateway processes that share the port", "--gateways")
    read_timeout_s: Seconds = setting(
        "SERVER_READ_TIMEOUT", 15.0, "how long a whole request may take to come"
    )
    write_timeout_s: Seconds = setting("SERVER_WRITE_TIMEOUT", 15.0, "how long an answer may take to be made")
    max_header_bytes: Count = setting("SERVER_MAX_HEADER_BYTES", 16_384, "longest head of a request")
    max_body_bytes: Count = setting("SERVER_MAX_BODY_BYTES", 65_536, "longest body of a request")
    max_connections_per_address: Zero = setting(
        "SERVER_MAX_CONNECTIONS_PER_ADDRESS",
        0,
        "open connections of one address; 0 is 1,000, and no limit for this machine's own",
    )
    trusted_proxies: Networks = setting(
        "SERVER_TRUSTED_PROXIES", (), "addresses or networks of proxies whose X-Forwarded-… is believed"
    )
    cors: Cors = Cors()


class Clients(Section):
    max_connections: Count = setting("CLIENTS_MAX_CONNECTIONS", 10_000, "WebSocket clients of one gateway")
    max_message_bytes: Count = setting("CLIENTS_MAX_MESSAGE_BYTES", 65_536, "longest message from a client")
    messages_per_second: Count = setting(
        "CLIENTS_MESSAGES_PER_SECOND", 20, "a client's messages, lasting rate"
    )
    message_burst: Count = setting("CLIENTS_MESSAGE_BURST", 60, "a client's messages at once")
    max_symbols: Count = setting("CLIENTS_MAX_SYMBOLS", 4_096, "symbols one client may watch")
    max_buffer_bytes: Count = setting(
        "CLIENTS_MAX_BUFFER_BYTES",
        65_536,
        "unsent bytes after which a client counts as slow and gets only newest values",
    )
    max_lag_s: Seconds = setting(
        "CLIENTS_MAX_LAG", 10.0, "how long a client may stay slow before it is closed"
    )
    ping_interval_s: Seconds = setting("CLIENTS_PING_INTERVAL", 20.0, "how often a silent client is pinged")
    pong_timeout_s: Seconds = setting("CLIENTS_PONG_TIMEOUT", 20.0, "how long its answer may take")
    send: SendWay = setting(
        "CLIENTS_SEND", "auto", "how frames are sent: auto, uring, loop or python; auto is the best there is"
    )


class Nats(Section):
    url: NatsUrls = setting(
        "NATS_URL", "", "a NATS cluster, comma separated; empty starts a server of our own"
    )
    client_name: Text = setting("NATS_CLIENT_NAME", "tickgate", "what our connections are called in NATS")
    credentials: ExistingFile = setting("NATS_CREDENTIALS", None, "credentials file (.creds) for the cluster")
    tls_ca: ExistingFile = setting("NATS_TLS_CA", None, "certificate authority of the cluster, a PEM file")
    tls_cert: ExistingFile = setting("NATS_TLS_CERT", None, "our certificate for the cluster, a PEM file")
    tls_key: ExistingFile = setting("NATS_TLS_KEY", None, "the key of our certificate, a PEM file")
    cluster_id: str = setting("NATS_CLUSTER_ID", "", "accepted, not used: today's NATS needs none")

    @model_validator(mode="after")
    def _check_pair(self) -> "Nats":
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together: give both or none")
        return self


class Auth(Section):
    anonymous: Anonymous = setting(
        "AUTH_ANONYMOUS", "auto", "may anybody read: yes, no, or auto: in a demo and on a loopback address"
    )
    session_life_s: Seconds = setting(
        "AUTH_SESSION_LIFE", 604_800.0, "a session ends when it was not used for so long"
    )
    session_longest_s: Seconds = setting("AUTH_SESSION_LONGEST", 2_592_000.0, "and after so long in any case")
    login_attempts: Count = setting("AUTH_LOGIN_ATTEMPTS", 10, "wrong logins of an account or an address in")
    login_window_s: Seconds = setting("AUTH_LOGIN_WINDOW", 900.0, "this time, before more are refused unread")
    max_watched: Count = setting("AUTH_MAX_WATCHED", 500, "symbols on one market watch")


class Limits(Section):
    enabled: bool = setting("LIMITS_ENABLED", True, "refuse HTTP requests that come too fast")
    market_per_second: Amount = setting(
        "LIMITS_MARKET_PER_SECOND", 200.0, "prices, symbols: a client's lasting rate"
    )
    market_burst: Count = setting("LIMITS_MARKET_BURST", 400, "and at once")
    history_per_second: Amount = setting(
        "LIMITS_HISTORY_PER_SECOND", 200.0, "bars, UDF: a client's lasting rate"
    )
    history_burst: Count = setting("LIMITS_HISTORY_BURST", 400, "and at once")
    account_per_second: Amount = setting(
        "LIMITS_ACCOUNT_PER_SECOND", 5.0, "logins, market watch: a client's lasting rate"
    )
    account_burst: Count = setting("LIMITS_ACCOUNT_BURST", 50, "and at once")


class Messaging(Section):
    nats: Nats = Nats()


class Exchange(Section):
    venues: Venues = setting(
        "EXCHANGE_VENUES", ("binance",), "binance, binance-usdm, binance-coinm", "--venues"
    )
    symbols: Symbols = setting("EXCHANGE_SYMBOLS", _SYMBOLS, "BTCUSDT, BTCUSDT.P, BTCUSD.P …, or all")
    streams: Streams = setting("EXCHANGE_STREAMS", _STREAMS, "streams of each symbol")
    on_demand: bool = setting(
        "EXCHANGE_ON_DEMAND", True, "carry what else the venue lists while somebody watches it"
    )
    listing_interval_s: Seconds = setting(
        "EXCHANGE_LISTING_INTERVAL", 600.0, "how often a venue is asked what it lists"
    )
    redundancy: Lines = setting("EXCHANGE_REDUNDANCY", 1, "connections that carry each stream, 1 or 2")
    ws_endpoint: WsUrl = setting("EXCHANGE_WS_ENDPOINT", "", "spot WebSocket address; empty is the venue's")
    rest_endpoint: HttpUrl = setting("EXCHANGE_REST_ENDPOINT", "", "spot REST address; empty is the venue's")
    usdm_ws_endpoint: WsUrl = setting("EXCHANGE_USDM_WS_ENDPOINT", "", "the same for USD-M futures")
    usdm_rest_endpoint: HttpUrl = setting("EXCHANGE_USDM_REST_ENDPOINT", "", "the same for USD-M futures")
    coinm_ws_endpoint: WsUrl = setting("EXCHANGE_COINM_WS_ENDPOINT", "", "the same for COIN-M futures")
    coinm_rest_endpoint: HttpUrl = setting("EXCHANGE_COINM_REST_ENDPOINT", "", "the same for COIN-M futures")
    max_connections: Count = _later("EXCHANGE_MAX_CONNECTIONS", 3, "exchange connections a worker opens")
    reconnect_interval_s: Seconds = _later("EXCHANGE_RECONNECT_INTERVAL", 5.0, "first wait, then growing")
    ping_interval_s: Seconds = _later("EXCHANGE_PING_INTERVAL", 30.0, "how often a silent exchange is pinged")


class Processor(Section):
    workers: Workers = setting(
        "PROCESSOR_WORKERS", 0, "feed processes; 0 is one a core, at most 4", "--workers"
    )
    batch_messages: Count = setting("PROCESSOR_BATCH_MESSAGES", 100, "a batch is sent with this many, or")
    batch_ms: Count = setting("PROCESSOR_BATCH_MS", 50, "when its oldest has waited this long, or when idle")
    queue: Count = setting("PROCESSOR_QUEUE", 10_000, "exchange messages that may wait in a worker")


class History(Section):
    backfill_bars: Zero = setting(
        "HISTORY_BACKFILL_BARS", 1_000, "bars of each interval that a symbol has from the start"
    )
    ticks: bool = setting("HISTORY_TICKS", False, "keep every single trade as well")
    tick_retention_s: Seconds = setting("HISTORY_TICK_RETENTION", 604_800.0, "for how long")
    spool_bytes: Count = setting(
        "HISTORY_SPOOL_BYTES", 268_435_456, "bytes that may wait on disk while the store is away"
    )


class Data(Section):
    folder: Path = setting("DATA_FOLDER", Path("data"), "where everything is written", "--data")


class Log(Section):
    level: LogLevel = setting("LOG_LEVEL", "info", "debug, info, warning or error", "--log-level")
    format: LogFormat = setting("LOG_FORMAT", "auto", "console or json; auto is console on a terminal")


class Features(Section):
    enigma_enabled: bool = setting("FEATURE_ENIGMA_ENABLED", True, "compute Enigma levels")
    aggregation_enabled: bool = _later("FEATURE_AGGREGATION_ENABLED", True, "aggregate venues")
    binary_websocket: bool = _later("FEATURE_BINARY_WEBSOCKET", True, "serve the binary stream")


class Sim(Section):
    port: Port = setting("SIM_PORT", 8081, "port of the simulated exchange; 0 takes a free one", "--sim-port")
    seed: int = setting("SIM_SEED", 7, "the same seed gives the same market", "--seed")
    symbols: Count = setting("SIM_SYMBOLS", 20, "symbols in each simulated market", "--symbols")
    rate: Amount = setting("SIM_RATE", 10.0, "trades a second and symbol", "--rate")
    quotes_per_trade: Amount = setting(
        "SIM_QUOTES_PER_TRADE", 1.0, "best bid and offer changes for each trade"
    )


class Mysql(Section):
    host: str = setting("MYSQL_HOST", "", "MySQL or MariaDB server; empty is an SQLite file")
    port: Port = setting("MYSQL_PORT", 3306, "its port")
    database: str = setting("MYSQL_DATABASE", "tickgate", "its database")
    user: str = setting("MYSQL_USER", "tickgate", "its user")
    password: Secret = setting("MYSQL_PASSWORD", Secret(""), "its password")
    max_open_conns: Count = setting("MYSQL_MAX_OPEN_CONNS", 25, "connections at most, to any SQL server")
    max_idle_conns: Zero = setting("MYSQL_MAX_IDLE_CONNS", 10, "connections kept open")
    conn_max_lifetime_s: Seconds = setting("MYSQL_CONN_MAX_LIFETIME", 300.0, "age at which one is replaced")


class Influx(Section):
    url: HttpUrl = setting("INFLUX_URL", "", "InfluxDB address; empty is a DuckDB file of our own")
    version: InfluxVersion = setting("INFLUX_VERSION", 2, "1 writes by /write, 2 by /api/v2/write")
    token: Secret = setting("INFLUX_TOKEN", Secret(""), "its token; for 1: user:password, or nothing")
    org: str = setting("INFLUX_ORG", "", "its organisation; 1 has none")
    bucket: str = setting("INFLUX_BUCKET", "", "its bucket; for 1: the database")
    timeout_s: Seconds = setting("INFLUX_TIMEOUT", 5.0, "how long an answer may take")


class Database(Section):
    url: Secret = setting(
        "DATABASE_URL",
        Secret(""),
        "postgresql://…, mysql://… or sqlite:///file; empty asks the mysql settings",
    )
    mysql: Mysql = Mysql()
    influx: Influx = Influx()


class Redis(Section):
    addr: HostPort = setting("REDIS_ADDR", "", "host:port of Redis; empty is memory, of each process its own")
    password: Secret = setting("REDIS_PASSWORD", Secret(""), "its password")
    db: Zero = setting("REDIS_DB", 0, "its database number")
    pool_size: Count = setting("REDIS_POOL_SIZE", 10, "connections at most")
    min_idle_conns: Zero = _later("REDIS_MIN_IDLE_CONNS", 5, "connections kept open")
    price_stream: bool = setting(
        "REDIS_PRICE_STREAM",
        False,
        "append prices, one a second a symbol at most, to the Redis Stream `prices`",
    )
    price_stream_length: Count = setting("REDIS_PRICE_STREAM_LENGTH", 100_000, "entries that it keeps")


class Cache(Section):
    redis: Redis = Redis()


class Settings(Section):
    """All of them. Parts get the values they need, not the whole."""

    server: Server = Server()
    clients: Clients = Clients()
    auth: Auth = Auth()
    limits: Limits = Limits()
    messaging: Messaging = Messaging()
    exchange: Exchange = Exchange()
    processor: Processor = Processor()
    history: History = History()
    data: Data = Data()
    log: Log = Log()
    features: Features = Features()
    sim: Sim = Sim()
    database: Database = Database()
    cache: Cache = Cache()

    @property
    def anybody_may_read(self) -> bool:
        """Whoever is not logged in may read: with `auto`, where only this machine can ask."""
        if self.auth.anonymous != "auto":
            return self.auth.anonymous == "yes"
        return is_loopback(self.server.host)


class Line(NamedTuple):
    """One line of the table, for those who read it as data."""

    path: str
    env: str
    flag: str | None
    default: Any
    meaning: str
    is_duration: bool

    def show(self, value: Any) -> str:
        """Write a value for people; secrets are hidden."""
        return f"{value:g}s" if self.is_duration else show_value(value)

    def value_in(self, settings: Settings) -> Any:
        section: Any = settings
        *groups, last = self.path.split(".")
        for group in groups:
            section = getattr(section, group)
        return next(
            getattr(section, name)
            for name, field in type(section).model_fields.items()
            if field.alias == last
        )


def table(section: type[Section] = Settings, prefix: str = "") -> Iterator[Line]:
    """List every setting, in the order of the table."""
    for name, field in section.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        if isinstance(field.default, Section):
            yield from table(type(field.default), f"{path}.")
        elif isinstance(field.json_schema_extra, dict):
            extra: dict[str, Any] = field.json_schema_extra
            meaning = field.description or ""
            yield Line(path, extra["env"], extra["flag"], field.default, meaning, name.endswith("_s"))
