"""`tickgate user …`: who may log in, and which symbols they may see."""

import sys
from collections.abc import Sequence
from typing import Final

import click

from gateway.accounts.notices import Revoked
from gateway.accounts.register import Register
from gateway.commands.register import format_day, in_register, print_table, run_on, tell
from gateway.config.flags import Commands
from gateway.config.load import Settings
from gateway.metadata.database import Database
from gateway.metadata.users import User
from gateway.processes.lifetime import Failure

LONGEST_LINE: Final = 64 * 1024

password_option = click.option(
    "--password-stdin", is_flag=True, help="read the password from the first line of stdin"
)
PATTERNS: Final = "which symbols they may see: BTC*, BINANCE:*.P; all is every symbol"


@click.group(cls=Commands)
def user() -> None:
    """Say who may log in.

    Names are told apart without regard to case. Passwords are asked for, or read from stdin.

    \b
    Example:  tickgate user add ann
              echo "$PASSWORD" | tickgate user add bot --password-stdin --symbols 'BTC*,ETH*'
    """


@user.command()
@in_register
@click.argument("name")
@password_option
@click.option("--symbols", metavar="PATTERN,PATTERN…", default="all", show_default=True, help=PATTERNS)
def add(settings: Settings, name: str, password_stdin: bool, symbols: str) -> None:
    """Add a user called NAME."""
    patterns = _parse_patterns(symbols)
    password = _read_password(from_stdin=password_stdin)

    async def work(register: Register, _database: Database) -> User:
        return await register.add_user(name, password, patterns)

    added = run_on(settings, work)
    click.echo(f"added {added.name}, who may see {_show_patterns(added.symbols)}")


@user.command("list")
@in_register
def list_users(settings: Settings) -> None:
    """List all users."""

    async def work(_register: Register, database: Database) -> list[User]:
        return await database.users.all()

    users = run_on(settings, work)
    rows = [
        (
            one.name,
            "active" if one.is_active else "disabled",
            _show_patterns(one.symbols),
            format_day(one.created_ms),
        )
        for one in users
    ]
    print_table(("NAME", "STATE", "SYMBOLS", "SINCE"), rows)


@user.command()
@in_register
@click.argument("name")
def disable(settings: Settings, name: str) -> None:
    """Let NAME in no more: all sessions end at once, and keys are worth nothing."""

    async def work(register: Register, _database: Database) -> Revoked:
        return await register.set_active(await register.find(name), is_active=False)

    tell(settings, run_on(settings, work))
    click.echo(f"disabled {name}")


@user.command()
@in_register
@click.argument("name")
def enable(settings: Settings, name: str) -> None:
    """Let NAME in again."""

    async def work(register: Register, _database: Database) -> Revoked:
        return await register.set_active(await register.find(name), is_active=True)

    tell(settings, run_on(settings, work))
    click.echo(f"enabled {name}")


@user.command()
@in_register
@click.argument("name")
@password_option
def passwd(settings: Settings, name: str, password_stdin: bool) -> None:
    """Replace the password of NAME. All sessions end; keys stay."""
    password = _read_password(from_stdin=password_stdin)

    async def work(register: Register, _database: Database) -> Revoked:
        return await register.set_password(await register.find(name), password)

    revoked = run_on(settings, work)
    tell(settings, revoked)
    click.echo(f"replaced the password of {name}; {len(revoked.sessions)} sessions have ended")


@user.command()
@in_register
@click.argument("name")
@click.option("--symbols", metavar="PATTERN,PATTERN…", help=PATTERNS)
def rules(settings: Settings, name: str, symbols: str | None) -> None:
    """Say which symbols NAME may see; without --symbols, show it.

    \b
    Example:  tickgate user rules ann --symbols 'BTC*,BINANCE:ETHUSDT.P'
              tickgate user rules ann --symbols all
    """

    async def work(register: Register, _database: Database) -> tuple[str, Revoked | None]:
        found = await register.find(name)
        if symbols is None:
            return _show_patterns(found.symbols), None
        patterns = _parse_patterns(symbols)
        return _show_patterns(patterns), await register.set_symbols(found, patterns)

    shown, revoked = run_on(settings, work)
    if revoked is not None:
        tell(settings, revoked)
    click.echo(f"{name} may see {shown}")


# What people write and read


def _read_password(*, from_stdin: bool) -> str:
    if not from_stdin:
        if not _is_terminal():
            raise Failure("there is no terminal to ask for a password: give --password-stdin")
        password: str = click.prompt("Password", hide_input=True, confirmation_prompt="Again")
        return password
    line = sys.stdin.buffer.readline(LONGEST_LINE)
    try:
        return line.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise Failure("the password is not in UTF-8") from None


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _parse_patterns(text: str) -> tuple[str, ...]:
    """Read patterns with commas between them; `all` is none, which is every symbol."""
    patterns = tuple(one.strip().upper() for one in text.split(","))
    if patterns == ("ALL",):
        return ()
    # What is empty by mistake, as a variable in a script, is not to open everything.
    if not all(patterns) or any(" " in one for one in patterns):
        raise Failure("--symbols: write patterns with commas between them, or all")
    return patterns


def _show_patterns(patterns: Sequence[str]) -> str:
    return ",".join(patterns) or "every symbol"
