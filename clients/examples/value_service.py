"""A microservice of your own: it hears prices, and answers what an amount is worth.

    make demo
    python clients/examples/value_service.py NATS [symbols]
    nats request value.BTCUSDT 2.5           # or any NATS client; `nats micro ls` lists it

NATS is the address that `make demo` prints (`nats://127.0.0.1:…`). The newest prices are held here, so an
answer takes a fraction of a millisecond and costs the gateway nothing. A price that may be old is not given
out: while the bus is away, and for symbols of which none has come, the answer is an error.
"""

import asyncio
import sys
from contextlib import aclosing, suppress

import nats
from nats import micro
from nats.micro.request import Request

from clients.services import Services
from clients.updates import Disconnected, StreamPrice

DEFAULT = ("BTCUSDT", "ETHUSDT")
prices: dict[str, StreamPrice] = {}


async def main(address: str, *symbols: str) -> None:
    async with Services(address, name="value") as services, await nats.connect(address) as client:
        service = await micro.add_service(client, name="value", version="1.0.0")
        await service.add_endpoint(name="value", subject="value.*", handler=answer)
        print("answering value.<symbol>", flush=True)
        async with aclosing(services.prices(*symbols or DEFAULT).items()) as items:
            async for item in items:
                if isinstance(item, StreamPrice):
                    prices[item.symbol] = item
                elif isinstance(item, Disconnected):
                    prices.clear()


async def answer(request: Request) -> None:
    price = prices.get(request.subject.removeprefix("value."))
    if price is None:
        await request.respond_error("503", "no price yet")
        return
    try:
        value = float(request.data) * price.price
    except ValueError:
        await request.respond_error("400", "say an amount")
        return
    await request.respond(f"{value:.2f} {price.entry.name}{' SIMULATED' * price.simulated}".encode())


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
