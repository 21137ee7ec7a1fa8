"""`tickgate key …`: which programs may come by themselves."""

from collections.abc import Sequence

import click

from gateway.accounts.identity import Scope
from gateway.accounts.known import KEY_SCOPES
from gateway.accounts.notices import Revoked
from gateway.accounts.register import Register
from gateway.commands.register import format_day, in_register, print_table, run_on, tell
from gateway.config.flags import Commands
from gateway.config.load import Settings
from gateway.metadata.database import Database, wall_clock_ms


@click.group(cls=Commands)
def key() -> None:
    """Say which programs may come by themselves, with an API key.

    A key belongs to a user: it sees the symbols and the market watch of that user.

    \b
    Example:  tickgate key add ann --name 'trading bot' --scope read --scope watch --days 365
    """


@key.command("add")
@in_register
@click.argument("name", metavar="USER")
@click.option("--name", "label", required=True, help="what it is for")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in KEY_SCOPES]),
    default=[Scope.READ.value],
    show_default=True,
    help="what it may do; repeatable",
)
@click.option("--days", type=click.IntRange(1, 36_500), help="after how many days it ends  [default: never]")
def add_key(settings: Settings, name: str, label: str, scopes: Sequence[str], days: int | None) -> None:
    """Make a key of USER and print it. It cannot be had a second time."""

    async def work(register: Register, _database: Database) -> str:
        made = await register.add_key(await register.find(name), label, map(Scope, scopes), days)
        return made.text

    click.echo(run_on(settings, work))


@key.command("list")
@in_register
def list_keys(settings: Settings) -> None:
    """List all keys, without their secrets."""

    async def work(_register: Register, database: Database) -> list[tuple[str, ...]]:
        names = {one.id: one.name for one in await database.users.all()}
        return [
            (
                one.id,
                names.get(one.user_id, ""),
                one.name,
                ",".join(one.scopes),
                _state(one.is_active, one.expires_ms),
                format_day(one.created_ms),
                format_day(one.last_used_ms),
                format_day(one.expires_ms),
            )
            for one in await database.keys.all()
        ]

    head = ("ID", "USER", "NAME", "SCOPES", "STATE", "SINCE", "LAST USED", "ENDS")
    print_table(head, run_on(settings, work))


@key.command()
@in_register
@click.argument("key_id", metavar="ID")
def revoke(settings: Settings, key_id: str) -> None:
    """End the key with this ID for good."""

    async def work(register: Register, _database: Database) -> Revoked:
        return await register.end_key(key_id)

    tell(settings, run_on(settings, work))
    click.echo(f"revoked {key_id}")


def _state(is_active: bool, expires_ms: int | None) -> str:
    if not is_active:
        return "revoked"
    return "expired" if expires_ms is not None and expires_ms <= wall_clock_ms() else "active"
