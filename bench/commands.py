"""`tickgate bench …`: one command a benchmark, each of which is a file beside this one."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import msgspec

COMPARE: Final = "bench.compare"
TO: Final = "bench.to"
Command = TypeVar("Command", bound=Callable[..., Any])


def as_json(command: Command) -> Command:
    """Add how every benchmark is shown. Only `json` reaches the command: `_print` sees to the others."""

    def keep(key: str) -> Callable[[click.Context, click.Parameter, Any], None]:
        return lambda context, _, value: context.meta.__setitem__(key, value)

    show = click.option("--json", is_flag=True, help="print the result as JSON")
    beside = click.option("--compare", is_flag=True, expose_value=False, callback=keep(COMPARE),
                          help="show what has changed since the committed result")  # fmt: skip
    to = click.option("--to", metavar="FILE", expose_value=False, callback=keep(TO),
                      type=click.Path(dir_okay=False, writable=True, path_type=Path),
                      help="write the result there, as JSON")  # fmt: skip
    return show(beside(to(command)))


@click.group()
def bench() -> None:
    """Measure this machine."""
    from gateway.logs import start_logs

    start_logs("warning", "auto", "bench")  # on stderr: what is on stdout is the result


@bench.command("all")
@click.option("--only", metavar="NAME,NAME…", help="only these  [default: all of the suite]")
@click.option("--save", is_flag=True, help="write to bench/results: what later runs are compared with")
@click.option("--json", is_flag=True, help="print one JSON of everything")
def everything(json: bool, only: str | None, save: bool) -> None:
    """Run all that fits into six minutes, compare it with the committed results, and draw the plots.

    Exit code 1 if any of them failed; whether what is wanted is met is said, and no failure.

    \b
    Example:  tickgate bench all --only codec,fanout --json
    """
    from rich.console import Console

    from bench import all as suite

    try:
        params = suite.Params(suite.choose(only), save)
    except suite.UnknownBench as error:
        raise click.UsageError(str(error)) from error
    result = asyncio.run(suite.run(params, Console(stderr=json)))
    if json:
        click.echo(msgspec.json.encode(result).decode())
    else:
        click.echo("Written: " + " ".join(result["results"]["files"]))
    raise SystemExit(1 if suite.has_failed(result) else 0)


@bench.command()
@click.option("--captures", default="../shared/data/binance-ws", show_default=True,
              metavar="FOLDER", help="captured streams, if there are any")  # fmt: skip
@click.option("--cuts", default=200, show_default=True, help="how often each stream is cut")
@click.option("--hours", default=6.0, show_default=True, help="how long the seeded streams are")
@click.option("--factor", default=2.0, show_default=True, help="suspicious silence, in longest silences")
@as_json
def mute(json: bool, **params: Any) -> None:
    """Measure how soon a mute stream is found, and how often a sound one is suspected.

    \b
    Example:  tickgate bench mute --captures captures --factor 3
    """
    from bench import mute as measured

    _print(measured.run(measured.Params(**params)), measured.format_table, json)


@bench.command()
@click.option("--symbols", default=50, show_default=True, type=click.IntRange(1, 1_000),
              help="symbols of the simulated exchange")  # fmt: skip
@click.option("--seconds", default=5.0, show_default=True, type=click.FloatRange(0.1),
              help="how long each is measured in a burst, and as long paced")  # fmt: skip
@click.option("--paced-rate", default=5_000.0, show_default=True, type=click.FloatRange(1.0),
              help="messages a second, of all symbols, where the exchange sets the pace")  # fmt: skip
@click.option("--seed", default=7, show_default=True, help="of prices and quantities")
@click.option("--contenders", metavar="NAME,NAME…", help="only these  [default: all]")
@as_json
def ingest(json: bool, contenders: str | None, **params: Any) -> None:
    """Measure a feed worker from the exchange's socket to the bus, beside other readers of that socket.

    Fails if a single trade does not come out on the bus, whatever the pace.

    \b
    Example:  tickgate bench ingest --symbols 100 --paced-rate 10000 --json
    """
    from bench.ingest import contest as measured
    from bench.ingest.errors import MessagesLost

    names = tuple(contenders.split(",")) if contenders else tuple(measured.CONTENDERS)
    try:
        wanted = measured.Params(contenders=names, **params)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    try:
        result = asyncio.run(measured.run(wanted))
    except MessagesLost as error:
        raise click.ClickException(str(error)) from error
    _print(result, measured.format_table, json)


@bench.command()
@click.option("--symbols", default=100, show_default=True, help="symbols of the simulated exchange")
@click.option("--rate", default=10.0, show_default=True, help="trades a second and symbol")
@click.option("--clients", default=100, show_default=True, help="WebSocket clients")
@click.option("--watchlist", default=20, show_default=True, help="symbols of each client")
@click.option("--watchlists", default=0, help="different watchlists  [default: every client its own]")
@click.option("--seconds", default=10.0, show_default=True, help="how long to measure")
@click.option("--workers", default=1, show_default=True, help="feed worker processes")
@click.option("--streams", default="aggTrade", show_default=True, help="what is carried of the exchange")
@as_json
def pipeline(json: bool, **params: Any) -> None:
    """Measure the way of a price from the exchange's send to the client's decode.

    \b
    Example:  tickgate bench pipeline --symbols 50 --clients 200 --json
    """
    from bench import pipeline as measured

    _print(asyncio.run(measured.run(measured.Params(**params))), measured.format_table, json)


@bench.command()
@click.option("--seconds", default=300.0, show_default=True, help="how long faults are given")
@click.option("--symbols", default=50, show_default=True, help="symbols of the simulated exchange")
@click.option("--rate", default=50.0, show_default=True, help="trades a second and symbol; as many quotes")
@click.option("--clients", default=3, show_default=True, help="clients that hold every trade")
@click.option("--workers", default=2, show_default=True, help="feed worker processes")
@click.option("--every", "every_s", default=4.0, show_default=True, help="seconds between faults, about")
@click.option("--seed", default=1, show_default=True, help="of the order of the faults")
@click.option("--redundancy", default=1, show_default=True, help="connections that carry each stream, 1 or 2")
@click.option("--past/--no-past", default=True, show_default=True, help="fetch years of bars meanwhile")
@as_json
def chaos(json: bool, **params: Any) -> None:
    """Hurt everything for a while, then compare every trade with the exchange.

    Cuts, mutes, losses, refusals, killed processes. Exit code 1 if any client misses a trade that
    it was not told is lost, or has one twice.

    \b
    Example:  tickgate bench chaos --seconds 60 --seed 7
    """
    from bench import chaos as measured

    result = asyncio.run(measured.run(measured.Params(**params)))
    _print(result, measured.format_table, json)
    raise SystemExit(0 if measured.is_whole(result) else 1)


@bench.command()
@click.option("--records", default=50, show_default=True, type=click.IntRange(1, 1_000),
              help="prices in a batch")  # fmt: skip
@click.option("--seconds", default=9.0, show_default=True, type=click.FloatRange(0.1),
              help="how long to measure; a third of it in Python, Node and Chromium each")  # fmt: skip
@as_json
def codec(json: bool, **params: Any) -> None:
    """Measure how fast a batch of prices is decoded and encoded, beside JSON of the same fields.

    \b
    Example:  tickgate bench codec --records 20 --json
    """
    from bench import codec as measured

    _print(measured.run(measured.Params(**params)), measured.format_table, json)


@bench.command()
@click.option("--clients", default=1_000, show_default=True, help="WebSocket clients of each contender")
@click.option("--watchlists", default=50, show_default=True, help="different ones; 0: every client its own")
@click.option("--seconds", default=5.0, show_default=True, help="how long each contender sends")
@click.option("--rate", default=20.0, show_default=True, help="frames a second to each client")
@click.option("--symbols", default=500, show_default=True, help="symbols whose prices change")
@click.option("--watchlist", default=20, show_default=True, help="symbols of each client")
@click.option("--contenders", metavar="NAME,NAME…", help="only these  [default: all]")
@click.option("--idle", is_flag=True, help="send nothing: memory and connections a second alone")
@as_json
def fanout(json: bool, contenders: str | None, **params: Any) -> None:
    """Measure what it costs to push a frame to a client, here and with what else people would use.

    \b
    Example:  tickgate bench fanout --clients 200 --watchlists 1 --contenders tickgate,starlette
    """
    from bench.fanout import contest as measured

    names = tuple(dict.fromkeys(contenders.split(","))) if contenders else tuple(measured.CONTENDERS)
    try:
        wanted = measured.Params(contenders=names, **params)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    _print(asyncio.run(measured.run(wanted)), measured.format_table, json)


@bench.command()
@click.option("--symbols", default=100, show_default=True, help="symbols of the simulated exchange, at work")
@click.option("--rate", default=10.0, show_default=True, help="trades a second and symbol, at work")
@click.option("--clients", default=100, show_default=True, help="WebSocket clients, at work")
@click.option("--watchlist", default=20, show_default=True, help="symbols of each client")
@click.option("--minutes", default=1.0, show_default=True, help="how long memory is watched at work")
@click.option("--rest-symbols", default=20, show_default=True, help="symbols while nobody is connected")
@as_json
def footprint(json: bool, **params: Any) -> None:
    """Measure what memory and CPU all processes of a demo need, at rest and at work.

    The slope of the memory is worth something from --minutes 10 on.

    \b
    Example:  tickgate bench footprint --minutes 10
    """
    from bench import footprint as measured

    _print(asyncio.run(measured.run(measured.Params(**params))), measured.format_table, json)


@bench.command()
@click.option("--symbols", default=50, show_default=True, help="symbols in the store")
@click.option("--days", default=90.0, show_default=True, help="days of 1m bars of each")
@click.option("--window", default=2_000, show_default=True, help="bars of one answer")
@click.option("--rate", default=100.0, show_default=True, help="questions a second; cold ones: a fifth of it")
@click.option("--seconds", default=10.0, show_default=True, help="how long each kind is asked")
@click.option("--trades", default=1.0, show_default=True, help="trades a second and symbol meanwhile")
@click.option("--seed", default=7, show_default=True, help="of the bars and of what is asked")
@as_json
def history(json: bool, **params: Any) -> None:
    """Measure how soon a chart's window of bars is there, warm and cold.

    \b
    Example:  tickgate bench history --symbols 10 --days 30 --json
    """
    from bench import history as measured

    _print(asyncio.run(measured.run(measured.Params(**params))), measured.format_table, json)


@bench.command()
@click.option("--symbols", default=50, show_default=True, help="symbols in the store")
@click.option("--days", default=90.0, show_default=True, help="days of 1m bars of each")
@click.option("--page", default=1_000, show_default=True, help="bars of a symbol that come together")
@click.option("--window", default=2_000, show_default=True, help="bars of one read")
@click.option("--reads", default=500, show_default=True, help="windows that are read of each store")
@click.option("--seed", default=7, show_default=True, help="of the bars and of what is read")
@as_json
def store(json: bool, **params: Any) -> None:
    """Measure how fast bars go into the store, how small they lie, how soon a window is read.

    \b
    Example:  tickgate bench store --symbols 10 --days 30 --json
    """
    from bench import store as measured

    _print(asyncio.run(measured.run(measured.Params(**params))), measured.format_table, json)


@bench.command()
@click.option("--symbols", default=500, show_default=True, help="symbols that trade")
@click.option("--rate", default=20_000.0, show_default=True, help="trades a second, of all of them")
@click.option("--seconds", default=20.0, show_default=True, help="for how long")
@click.option("--seed", default=7, show_default=True, help="of the trades")
@as_json
def recorder(json: bool, **params: Any) -> None:
    """Measure what a trade costs the recorder, and whether it keeps up.

    \b
    Example:  tickgate bench recorder --rate 30000 --json
    """
    from bench import recorder as measured

    _print(asyncio.run(measured.run(measured.Params(**params))), measured.format_table, json)


def _print(result: dict[str, Any], lay_out: Callable[[dict[str, Any]], str], json: bool) -> None:
    """Print a result as it was asked for: for people or as JSON, beside the committed one, and to a file."""
    from bench.compare import compare, find_before, format_comparison
    from bench.result import encode

    asked = click.get_current_context().meta
    if asked[TO] is not None:
        asked[TO].write_bytes(encode(result))
    before = find_before(result) if asked[COMPARE] else None
    comparison = compare(before, result) if before else None
    if json:
        more = {"comparison": comparison.to_json()} if comparison else {}
        click.echo(msgspec.json.encode(result | {"results": result["results"] | more}).decode())
        return
    click.echo(lay_out(result))
    if comparison:
        click.echo("\nBeside the committed result:\n" + format_comparison(comparison))
    elif asked[COMPARE]:
        click.echo("\nNo committed result has these parameters.")
