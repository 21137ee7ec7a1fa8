"""The commands. Each reads its settings, starts this process's logs, and runs one role."""

import asyncio
import shutil
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import click
import structlog

from bench.commands import bench
from gateway.commands.later import Later, LaterCommands
from gateway.config.flags import config_option, environ, settings_options
from gateway.config.load import LINES, BadSettings, Settings, format_table, gather, load_settings
from gateway.logs import start_logs
from gateway.processes import lifetime
from gateway.processes.lifetime import Failure
from gateway.processes.ports import find_free_port, reachable_host
from protocol.errors import UnknownInterval
from protocol.intervals import parse_interval

COLORS: Final = {"ok": "green", "warn": "yellow", "fail": "red"}
DAY: Final = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])
SUPERVISED: Final = click.option("--supervised", is_flag=True, hidden=True)
"""Our stdin is a pipe from the supervisor: see `lifetime.py`."""
LATER: Final = {
    "user": Later("gateway.commands.users:user", "Say who may log in."),
    "key": Later("gateway.commands.keys:key", "Say which programs may come, with an API key."),
    "migrate": Later("gateway.commands.migrate:migrate", "Bring the tables of the database up to date."),
}
EXIT_CODES: Final = (
    "Exit codes: 0 stopped as asked (Ctrl-C, SIGTERM, SIGHUP), 1 failed, 2 wrong usage or settings. "
    "A second Ctrl-C ends a command at once."
)


@click.group(
    cls=LaterCommands,
    later=LATER,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)
@click.version_option(version("tickgate"), prog_name="tickgate")
def main() -> None:
    """A market data gateway: exchange prices in, small binary frames out.

    \b
    Try it, on a simulated exchange:    tickgate demo
    Run it, on the real one:            tickgate up
    See prices:                         tickgate watch BTCUSDT ETHUSDT
    See what is configured:             tickgate config

    Settings come from flags, the environment (SERVER_PORT=9000) and a YAML file (--config), the
    first of them that speaks wins.
    """


@main.command()
@settings_options(
    "server.port", "server.host", "server.gateways", "processor.workers", "data.folder", "log.level",
    "sim.port", "sim.symbols", "sim.rate", "sim.seed",
    defaults={"data.folder": "data/demo", "log.level": "warning"},
)  # fmt: skip
def demo(settings: Settings) -> None:
    """Run everything on a simulated exchange: no account, no network.

    \b
    Example:  tickgate demo --port 9000 --symbols 100 --rate 5
    """
    _supervise(settings, simulated=True)


@main.command()
@settings_options(
    "server.port", "server.host", "server.gateways", "processor.workers", "data.folder", "log.level",
    "exchange.venues", "exchange.symbols",
)  # fmt: skip
def up(settings: Settings) -> None:
    """Run everything on the real exchange.

    Starts a nats-server of its own, unless NATS_URL names a cluster.

    \b
    Example:  tickgate up --symbols BTCUSDT,ETHUSDT --host 0.0.0.0
              tickgate up --venues binance,binance-usdm --symbols all --workers 4
    """
    _supervise(settings, simulated=False)


@main.command()
@settings_options("data.folder", "log.level", "exchange.venues", "exchange.symbols")
@click.option(
    "--shard", default="0/1", metavar="I/N", help="the share of the symbols to carry, from 0/N to N-1/N"
)
@SUPERVISED
def feed(settings: Settings, shard: str, supervised: bool) -> None:
    """Run one feed worker: exchange connections in, batches on NATS out.

    \b
    Example, two workers on two hosts:
      NATS_URL=nats://bus:4222 tickgate feed --shard 0/2
      NATS_URL=nats://bus:4222 tickgate feed --shard 1/2
    """
    from gateway.roles import feed as role

    number, shards = _parse_shard(shard)
    _need_bus(settings)
    _start(settings, f"feed {shard}", lambda stop: role.run(settings, number, shards, stop), supervised)


@main.command()
@settings_options("data.folder", "log.level", "exchange.venues")
@SUPERVISED
def recorder(settings: Settings, supervised: bool) -> None:
    """Run the recorder: bars out of the trades on NATS, kept in the store, handed out on request.

    There is one, and it alone has the store open.

    \b
    Example:  NATS_URL=nats://bus:4222 tickgate recorder --data /var/lib/tickgate
    """

    async def run(stop: asyncio.Event) -> None:
        # Not earlier: at its exit DuckDB's library complains if it was loaded before the loop ran.
        from gateway.roles import recorder as role

        await role.run(settings, stop)

    _need_bus(settings)
    _start(settings, "recorder", run, supervised)


@main.command()
@settings_options("server.port", "server.host", "log.level")
@click.option("--reuse-port", is_flag=True, help="let several gateways of this host share the port")
@click.option("--number", default=0, help="which of them this is: each has another, in the metrics")
@SUPERVISED
def gateway(settings: Settings, reuse_port: bool, number: int, supervised: bool) -> None:
    """Run one gateway: batches from NATS in, HTTP and WebSocket clients out.

    \b
    Example:  NATS_URL=nats://bus:4222 tickgate gateway --host 0.0.0.0 --port 8080
    """
    from gateway.roles import server as role

    _need_bus(settings)
    if not reuse_port:
        find_free_port(settings.server.host, settings.server.port)  # says what is wrong, in one line

    def run(stop: asyncio.Event) -> Awaitable[None]:
        return role.run(settings, stop, reuse_port=reuse_port, number=number)

    _start(settings, "gateway", run, supervised)


@main.command()
@settings_options("data.folder", "log.level", "exchange.venues", defaults={"log.level": "warning"})
@click.argument("symbol")
@click.option("--interval", default="1m", show_default=True, help="1m 3m 5m 15m 30m 1h 2h … 1d 3d 1w 1M")
@click.option("--from", "start", type=DAY, required=True, help="the first day, 2024-01-01, in UTC")
@click.option("--to", "end", type=DAY, help="the day before which to end  [default: now]")
def backfill(settings: Settings, symbol: str, interval: str, start: datetime, end: datetime | None) -> None:
    """Fetch the history of SYMBOL from the venue, as far as it is not there.

    Newest first, within what the venue allows. Stopped by Ctrl-C, it goes on when it is started again.

    \b
    Example:  tickgate backfill BTCUSDT --from 2024-01-01 --interval 1m
    """
    end = end or datetime.now(UTC)
    from_ms, to_ms = (round(one.replace(tzinfo=UTC).timestamp() * 1_000) for one in (start, end))
    minutes = _parse_interval(interval)

    async def run(stop: asyncio.Event) -> None:
        from gateway.roles import history

        await history.backfill(settings, symbol, minutes, from_ms, to_ms, stop)

    _start(settings, "backfill", run)


@main.command()
@settings_options("data.folder", "log.level", defaults={"log.level": "warning"})
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--symbol", "symbols", multiple=True, help="only this one, as its venue spells it; repeatable")
@click.option("--interval", "intervals", multiple=True, help="only this one; repeatable")
def export(settings: Settings, file: Path, symbols: tuple[str, ...], intervals: tuple[str, ...]) -> None:
    """Write the history into a Parquet FILE.

    \b
    Example:  tickgate export btc.parquet --symbol BTCUSDT --interval 1m --interval 1h
    """
    path, minutes = str(file.absolute()), [_parse_interval(name) for name in intervals]

    async def run(_stop: asyncio.Event) -> None:
        from gateway.roles import history

        bars = await history.export_file(settings, path, symbols, minutes)
        click.echo(f"{bars:,} bars written to {file}")

    _start(settings, "export", run)


@main.command("import")
@settings_options("data.folder", "log.level", defaults={"log.level": "warning"})
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
def import_(settings: Settings, file: Path) -> None:
    """Read history from a Parquet FILE that `export` has written.

    \b
    Example:  tickgate import btc.parquet
    """
    path = str(file.absolute())

    async def run(_stop: asyncio.Event) -> None:
        from gateway.roles import history

        bars = await history.import_file(settings, path)
        click.echo(f"{bars:,} bars read from {file}")

    _start(settings, "import", run)


@main.command()
@settings_options(
    "sim.port", "sim.symbols", "sim.rate", "sim.seed", "sim.quotes_per_trade", "log.level",
    sim_port="--port", sim_quotes_per_trade="--quotes",
)  # fmt: skip
@click.option(
    "--data", type=click.Path(path_type=Path), metavar="FOLDER", help="where to remember the market"
)
@click.option("--replay", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="serve the messages of a captured file")  # fmt: skip
@click.option("--replay-speed", default=1.0, show_default=True, help="2 is twice as fast as captured")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="KIND,NAME=VALUE…",
    help="a fault from the start on; repeatable",
)
@SUPERVISED
def sim(settings: Settings, faults: tuple[str, ...], supervised: bool, **options: Any) -> None:
    """Run the simulated exchange alone: it speaks as Binance does.

    \b
    Example:  tickgate sim --port 8081 --symbols 100 --rate 5 --fault cut,share=0.5
              curl -d '{"kind": "mute", "seconds": 10}' http://127.0.0.1:8081/sim/faults
    """
    from gateway.roles import simulator as role

    _start(settings, "sim", lambda stop: role.run(settings, stop, faults=faults, **options), supervised)


@main.command()
@settings_options("server.port", server_port="--port")
@click.argument("symbols", nargs=-1)
@click.option("--url", metavar="URL", help="the gateway's stream  [default: the one on this machine]")
@click.option("--token", envvar="TICKGATE_TOKEN", help="an API key, or a session's token  [TICKGATE_TOKEN]")
@click.option("--v1", is_flag=True, help="speak the first version of the protocol: prices only")
def watch(settings: Settings, symbols: tuple[str, ...], url: str | None, token: str | None, v1: bool) -> None:
    """Watch live prices of SYMBOLS in the terminal; without any, and with a token, the user's market watch.

    Into a pipe it writes one line an update.

    \b
    Example:  tickgate watch BTCUSDT ETHUSDT
              tickgate watch BTCUSDT --url wss://prices.example.com/api/v1/ws | head
    """
    from clients.watch import run_watch

    url = url or f"ws://{reachable_host(settings.server.host)}:{settings.server.port}/api/v1/ws"
    if not symbols and not token:
        raise click.UsageError("name at least one symbol, or give a token to watch its user's market watch")
    raise SystemExit(asyncio.run(run_watch(url, list(symbols), 1 if v1 else 2, token)))


@main.command()
@settings_options("server.port", "data.folder", "exchange.venues")
@click.option("--offline", is_flag=True, help="leave out what needs the network")
def doctor(settings: Settings, offline: bool) -> None:
    """Check what `tickgate up` needs, and say what to do about what is missing.

    Exit code 1 if anything failed.
    """
    from gateway.doctor import Verdict, examine
    from gateway.roles.feed import venues

    async def print_findings() -> set[Verdict]:
        verdicts = set()
        async for verdict, text in examine(settings, [] if offline else venues(settings)):
            verdicts.add(verdict)
            click.echo(f"{click.style(verdict.value.ljust(5), fg=COLORS[verdict.value])} {text}")
        return verdicts

    raise SystemExit(1 if Verdict.FAIL in asyncio.run(print_findings()) else 0)


@main.command()
@config_option
@click.option("--table", "as_table", is_flag=True, help="print what can be set, as Markdown")
def config(config: Path | None, as_table: bool) -> None:
    """Print the settings in force, and where each comes from. Secrets are hidden.

    \b
    Example:  SERVER_PORT=9000 tickgate config --config config.yaml
    """
    if as_table:
        click.echo(format_table(), nl=False)
        return
    settings = load_settings(config, environ, {})
    given, _ = gather(config, environ, {})
    for line in LINES.values():
        source = given[line.path].source if line.path in given else "default"
        click.echo(f"{line.path:<36} {line.show(line.value_in(settings)):<40} {source}".rstrip())


main.add_command(bench)


def _supervise(settings: Settings, *, simulated: bool) -> None:
    from gateway.roles import supervisor

    async def run(stop: asyncio.Event) -> None:
        await supervisor.run(settings, stop, environ, click.echo, program=_own_name(), simulated=simulated)

    _start(settings, "supervisor", run)


def _start(
    settings: Settings,
    role: str,
    run: Callable[[asyncio.Event], Awaitable[None]],
    supervised: bool = False,
) -> None:
    """Run a role to its end, and end this process with its exit code."""
    start_logs(settings.log.level, settings.log.format, role)
    try:
        lifetime.run(run, supervised)
    except (Failure, BadSettings) as error:
        if not supervised:
            raise
        structlog.get_logger().critical("process.failed", reason=str(error))
        raise SystemExit(error.exit_code) from None


def _own_name() -> str:
    """Return what to type to run this program again, from here."""
    started_as = Path(sys.argv[0])
    return str(started_as) if started_as.name == "tickgate" and not shutil.which("tickgate") else "tickgate"


def _parse_shard(text: str) -> tuple[int, int]:
    number, _, shards = text.partition("/")
    if not (number.isdecimal() and shards.isdecimal() and int(number) < int(shards)):
        raise click.BadParameter("write it as 0/2, the first of two shares, or 1/2", param_hint="--shard")
    return int(number), int(shards)


def _parse_interval(name: str) -> int:
    try:
        return parse_interval(name)
    except UnknownInterval as error:
        raise click.BadParameter(str(error), param_hint="--interval") from None


def _need_bus(settings: Settings) -> None:
    if not settings.messaging.nats.url:
        raise BadSettings(["messaging.nats.url: this command needs a NATS server to talk to (NATS_URL)"])


if __name__ == "__main__":
    main(prog_name="tickgate")
