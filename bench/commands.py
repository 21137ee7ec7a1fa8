"""`tickgate bench …`: one command a benchmark, each of which is a file beside this one."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import click
import msgspec

as_json: Final = click.option("--json", is_flag=True, help="print the result as JSON")


@click.group()
def bench() -> None:
    """Measure this machine."""


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
    _print(result, measured.format_report, json)
    raise SystemExit(0 if measured.is_whole(result) else 1)


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
    click.echo(msgspec.json.encode(result).decode() if json else lay_out(result))
