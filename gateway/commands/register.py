"""How commands work on the register of users and keys: open it, tell who remembers it, print it.

They work on the database itself, so they need no gateway that runs. Those that run are told over the bus, if
it can be reached; else they find out by themselves, within a minute.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import click
from rich.cells import cell_len

from gateway.accounts.errors import AccountError
from gateway.accounts.notices import Revoked, format_notice
from gateway.accounts.passwords import Passwords
from gateway.accounts.register import Register
from gateway.config.flags import settings_options
from gateway.config.load import Settings, changed
from gateway.logs import start_logs
from gateway.metadata.database import Database, open_database, wall_clock_ms
from gateway.metadata.errors import MetadataError
from gateway.metadata.migrate import prepare
from gateway.metadata.opening import url_of
from gateway.processes.lifetime import Failure
from gateway.roles.bus import bus_address, bus_name
from gateway.roles.folder import bus_of
from processors.bus import BusError, connect
from protocol import subjects

BUS_TIMEOUT_S: Final = 3.0
Result = TypeVar("Result")

in_register = settings_options("data.folder", "log.level", defaults={"log.level": "error"})
"""The settings of such a command. A bus that is away it mentions itself, and once."""


def run_on(settings: Settings, work: Callable[[Register, Database], Coroutine[Any, Any, Result]]) -> Result:
    """Do something with the register. Raises Failure for whatever does not work."""
    start_logs(settings.log.level, settings.log.format, "accounts")

    async def act() -> Result:
        url = url_of(settings)
        await prepare(url)
        async with open_database(url) as database:
            return await work(Register(database, Passwords(), wall_clock_ms), database)

    try:
        return asyncio.run(act())
    except (AccountError, MetadataError) as error:
        raise Failure(str(error)) from None


def tell(settings: Settings, revoked: Revoked) -> None:
    """Tell gateways that run who is not what they were."""
    url = settings.messaging.nats.url or bus_of(settings.data.folder)
    if url and not asyncio.run(_publish(changed(settings, {"messaging.nats.url": url}), revoked)):
        click.echo("The bus cannot be reached: gateways that run find out within a minute.", err=True)


async def _publish(settings: Settings, revoked: Revoked) -> bool:
    try:
        async with (
            asyncio.timeout(BUS_TIMEOUT_S),
            connect(bus_address(settings), bus_name(settings, "accounts")) as bus,
        ):
            await bus.publish(subjects.CONTROL_ACCOUNTS, format_notice(revoked))
            await bus.flush()
    except (TimeoutError, BusError):
        return False
    return True


def format_day(at_ms: int | None) -> str:
    return "-" if at_ms is None else datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%Y-%m-%d")


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(cell_len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = [text + " " * (width - cell_len(text)) for text, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())
