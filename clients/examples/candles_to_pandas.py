"""Have candles as a table: of pandas, if it is installed, else of numpy.

    make demo
    pip install pandas
    python clients/examples/candles_to_pandas.py NATS [symbol] [interval] [count]

NATS is the address that `make demo` prints (`nats://127.0.0.1:…`). The bars come in one answer, as an
array: no object is made for each. `as_of_us` is the version up to which they are complete: ask
`services.candles(symbol, since_us=answer.as_of_us)` for every bar that becomes final, or is corrected,
after that.
"""

import asyncio
import sys
from contextlib import suppress
from datetime import UTC, datetime

from clients.services import Services
from protocol.bars import Bars

try:
    import pandas  # type: ignore[import-untyped]  # not a dependency of ours, and without types
except ImportError:
    pandas = None

COLUMNS = ["open", "high", "low", "close", "volume", "trades"]


async def main(nats: str, symbol: str = "BTCUSDT", interval: str = "1m", count: str = "500") -> None:
    async with Services(nats) as services:
        answer = await services.bars(symbol, interval, int(count))
    as_of = datetime.fromtimestamp(answer.as_of_us / 1e6, UTC)
    print(f"{symbol} {len(answer.bars)} bars of {interval}, complete up to {as_of:%H:%M:%S}", flush=True)
    show(answer.bars)


def show(bars: Bars) -> None:
    times = bars["open_ms"].astype("datetime64[ms]")
    if pandas is None:
        for at, row in zip(times[-5:], bars[COLUMNS][-5:], strict=True):
            print(at, *row)
        print("mean of close", bars["close"].mean())
        return
    table = pandas.DataFrame(bars[COLUMNS].tolist(), columns=COLUMNS, index=pandas.Index(times, name="time"))
    print(table.tail())
    print("mean of close", table["close"].mean())


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
