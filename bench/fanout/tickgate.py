"""Our own: a gateway as it runs anywhere, a real nats-server, and who publishes as a feed worker does."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from bench.demo import until_ok
from bench.fanout.contenders import PYTHON, Contender, Order
from bench.fanout.lines import program
from bench.fanout.watchlists import conversations
from gateway.config.flags import environ
from gateway.natsd import nats_server
from gateway.processes.child import child_process
from gateway.processes.ports import find_free_port

READY_TIMEOUT_S: Final = 60.0
SPARE_CLIENTS: Final = 100


@asynccontextmanager
async def run_tickgate(order: Order) -> AsyncIterator[Contender]:
    """Run all of it, until prices flow."""
    async with AsyncExitStack() as stack:
        folder, port = order.folder / "tickgate", find_free_port()
        nats = await stack.enter_async_context(nats_server(folder / "nats", find_free_port(), environ))
        argv = [*PYTHON, "gateway.cli", "gateway", "--supervised"]
        settings = {**environ, **_settings(folder, port, nats.url, order.clients)}
        gateway = await stack.enter_async_context(child_process("gateway", argv, settings))
        argv = [*PYTHON, "bench.fanout.publisher", nats.url, str(order.rate), str(order.symbols)]
        publisher = await stack.enter_async_context(program("the publisher", argv))
        await publisher.answer()
        await until_ok(f"http://127.0.0.1:{port}/readyz", gateway, READY_TIMEOUT_S)
        yield Contender(
            name="tickgate",
            port=port,
            pid=gateway.pid,
            sender=publisher,
            conversations=order.write("tickgate.conversations", conversations(port, order.lists)),
            beside={"nats": nats.process.pid, "publisher": publisher.pid},
        )


def _settings(folder: Path, port: int, nats_url: str, clients: int) -> dict[str, str]:
    return {
        "NATS_URL": nats_url,
        "DATA_FOLDER": str(folder),
        "SERVER_HOST": "127.0.0.1",
        "SERVER_PORT": str(port),
        "AUTH_ANONYMOUS": "yes",
        "CLIENTS_MAX_CONNECTIONS": str(clients + SPARE_CLIENTS),
        "DATABASE_URL": "",
        "MYSQL_HOST": "",
        "REDIS_ADDR": "",
        "LOG_LEVEL": "error",
    }
