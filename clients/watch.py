"""Watch live prices in a terminal.

In a terminal, a table that is redrawn ten times a second; into a pipe or a file, one line an update:

    <time> <symbol> price <price> <24 h volume> <age in ms> <changes> [SIMULATED]
    <time> <symbol> quote <bid> <bid size> <ask> <ask size> <age in ms> <changes> [SIMULATED]

`-` stands for what is not known. What happens to the connection goes to stderr. A gateway that is
not there is waited for; one that refuses the stream, or carries none of the symbols, ends it.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from datetime import UTC, datetime
from typing import Final, TextIO

from rich.console import Console, RenderableType
from rich.live import Live

from clients.board import Board
from clients.connections import Patience
from clients.errors import StreamError
from clients.stream import Stream
from clients.updates import Connected, Disconnected, Item, Refused, StreamPrice, StreamQuote
from protocol.control import KINDS, AutoSubscribe, AutoUnsubscribe, MarketWatchSubscribe

REDRAW_S: Final = 0.1
PATIENCE: Final = Patience(max_retry_s=5.0)  # somebody is looking


async def run_watch(url: str, symbols: Sequence[str], version: int = 2, token: str | None = None) -> int:
    """Show the symbols until Ctrl-C; with a token, those of its user's market watch too.

    Return the exit code: 1 if the gateway refuses, 2 for a bad address.
    """
    try:
        kinds = KINDS if version == 2 else KINDS[:1]
        stream = Stream(url, symbols, kinds=kinds, version=version, token=token, patience=PATIENCE)
    except ValueError as error:
        _warn(str(error))
        return 2
    board = Board(stream.url, symbols, version, has_market_watch=token is not None)
    console = Console()
    async with stream:
        with _stop_on_signals(stream.stop):
            if console.is_terminal and not console.is_dumb_terminal:
                await watch_live(stream, board, console)
            else:
                await watch_lines(stream, board, sys.stdout)
    if board.all_refused:
        board.failure = f"{stream.url} carries none of {', '.join(board.refused)}"
    if board.failure:
        _warn(board.failure)
    return 1 if board.failure else 0


@contextmanager
def _stop_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    with suppress(NotImplementedError):  # Windows: Ctrl-C arrives as KeyboardInterrupt
        for number in signals:
            loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        with suppress(NotImplementedError):
            for number in signals:
                loop.remove_signal_handler(number)


async def _follow(stream: Stream, board: Board, show: Callable[[Item], None]) -> None:
    """Feed the board until the stream ends, or can bring nothing; a refusal is noted, not raised."""
    try:
        async with aclosing(stream.items()) as items:
            async for item in items:
                board.on_item(item, time.monotonic())
                show(item)
                if board.all_refused:
                    return
    except StreamError as error:
        board.failure = str(error)


# In a terminal


async def watch_live(stream: Stream, board: Board, console: Console) -> None:
    """Redraw the board until the stream ends; leave the last picture behind."""
    over = asyncio.Event()
    with Live(console=console, screen=True, auto_refresh=False) as live:
        async with asyncio.TaskGroup() as group:
            group.create_task(_draw(stream, board, live, over))
            await _follow(stream, board, lambda _: None)
            over.set()
    console.print(_picture(stream, board, console))


async def _draw(stream: Stream, board: Board, live: Live, over: asyncio.Event) -> None:
    while not over.is_set():
        live.update(_picture(stream, board, live.console), refresh=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(REDRAW_S):
                await over.wait()


def _picture(stream: Stream, board: Board, console: Console) -> RenderableType:
    return board.render(stream.stats, time.monotonic(), console.width, console.height)


# Into a pipe


async def watch_lines(stream: Stream, board: Board, out: TextIO) -> None:
    """Write one line an update until the stream ends or nobody reads on."""

    def show(item: Item) -> None:
        if isinstance(item, StreamPrice | StreamQuote):
            out.write(line(item) + "\n")
            out.flush()
        else:
            _warn(sentence(item))

    try:
        await _follow(stream, board, show)
    except BrokenPipeError:
        # The reader has gone, `| head` for one. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


def line(update: StreamPrice | StreamQuote) -> str:
    """Write an update as words separated by one space."""
    when = datetime.fromtimestamp(update.received_us / 1e6, UTC).isoformat(timespec="milliseconds")
    entry = update.entry
    if isinstance(update, StreamPrice):
        numbers = [
            f"{update.price:.{entry.price_precision}f}",
            f"{update.volume:.{entry.quantity_precision}f}",
        ]
    else:
        numbers = [
            f"{update.bid:.{entry.price_precision}f}",
            f"{update.bid_size:.{entry.quantity_precision}f}",
            f"{update.ask:.{entry.price_precision}f}",
            f"{update.ask_size:.{entry.quantity_precision}f}",
        ]
    kind = "price" if isinstance(update, StreamPrice) else "quote"
    age = "-" if update.age_us is None else f"{update.age_us / 1000:.1f}"
    label = ["SIMULATED"] if update.simulated else []
    return " ".join([when, update.symbol, kind, *numbers, age, str(update.changes), *label])


def sentence(event: Item) -> str:
    """Write an event for people."""
    match event:
        case Connected(url=url, away_ms=0):
            return f"connected to {url}"
        case Connected(url=url, away_ms=away_ms):
            return f"connected to {url} again; {away_ms / 1000:.1f} s were not seen"
        case Disconnected(reason=reason, code=code, retry_ms=retry_ms):
            return f"no stream: {reason or code}; trying again in {retry_ms / 1000:.1f} s"
        case Refused(message=message, symbols=symbols):
            return f"{message}: {', '.join(symbols)}" if symbols else message
        case MarketWatchSubscribe(symbols=symbols):
            return f"on the market watch: {', '.join(symbols) or 'nothing'}"
        case AutoSubscribe(data=change):
            return f"{change.symbol} is on the market watch now"
        case AutoUnsubscribe(data=change):
            return f"{change.symbol} is not on the market watch any more"
        case _:
            return str(event)


def _warn(text: str) -> None:
    sys.stderr.write(f"tickgate watch: {text}\n")
    sys.stderr.flush()
