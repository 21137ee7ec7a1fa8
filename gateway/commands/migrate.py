"""`tickgate migrate …`: the tables of users, market watches and symbols, as this program needs them."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import click

from gateway.config.flags import Commands, settings_options
from gateway.config.settings import Settings
from gateway.metadata.errors import MetadataError
from gateway.processes.lifetime import Failure

Result = TypeVar("Result")


@click.group(cls=Commands)
def migrate() -> None:
    """Bring the tables of the database up to date.

    Users, sessions, market watches and symbols are in an SQLite file in the data folder, or where
    DATABASE_URL or MYSQL_HOST say. `tickgate up` does this by itself for the file, and for no server.
    """


@migrate.command("up")
@settings_options("data.folder")
def up_(settings: Settings) -> None:
    """Do the steps that are not done yet.

    \b
    Example:  DATABASE_URL=postgresql://tickgate:…@db/tickgate tickgate migrate up
    """
    from gateway.metadata.migrate import up  # here and below: SQLAlchemy takes half a second to load

    url = _url(settings)
    for step in _run(up(url)):
        click.echo(f"done: {step}")
    _print_status(url)


@migrate.command("down")
@settings_options("data.folder")
@click.argument("revision", default="-1")
@click.option("--yes", is_flag=True, help="do not ask")
def down_(settings: Settings, revision: str, yes: bool) -> None:
    """Undo steps, down to REVISION; without one, the last step. What their tables hold is lost.

    \b
    Example:  tickgate migrate down 0001     go back to 0001
              tickgate migrate down base     remove all tables
    """
    from gateway.metadata.migrate import down
    from gateway.metadata.urls import place_of

    url = _url(settings)
    if not yes:
        click.confirm(f"Tables of {place_of(url)} will be removed, with all they hold. Go on?", abort=True)
    for step in _run(down(url, revision)):
        click.echo(f"undone: {step}")
    _print_status(url)


@migrate.command("status")
@settings_options("data.folder")
def status_(settings: Settings) -> None:
    """Say how far the tables are. Exit code 1 if steps are to be done."""
    raise SystemExit(1 if _print_status(_url(settings)) else 0)


def _print_status(url: str) -> list[str]:
    """Say how far the tables are, and return the steps that are to be done."""
    from gateway.metadata.migrate import status
    from gateway.metadata.urls import place_of

    found = _run(status(url))
    behind = f", {found.head} is the newest: run `tickgate migrate up`" if found.pending else ", up to date"
    click.echo(f"{place_of(url)} is at {found.current or 'nothing'}{behind}")
    for step in found.pending:
        click.echo(f"to do: {step}")
    return found.pending


def _url(settings: Settings) -> str:
    from gateway.metadata.opening import url_of

    try:
        return url_of(settings)
    except MetadataError as error:
        raise Failure(f"DATABASE_URL: {error}") from None


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    try:
        return asyncio.run(work)
    except MetadataError as error:
        raise Failure(str(error)) from None
