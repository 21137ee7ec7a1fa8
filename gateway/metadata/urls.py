"""Addresses of databases: what people write, and what the drivers are given.

    sqlite:///relative.sqlite   sqlite:////absolute.sqlite
    mysql://user:password@host:3306/database      mariadb:// is the same
    postgresql://user:password@host:5432/database   postgres:// is the same

A server's address may end in `?sslmode=require` (encrypted), `verify-full` (and its certificate checked;
`&sslrootcert=file` names the authority), or `disable`. Without, Postgres is encrypted if it can be.
"""

from pathlib import Path
from typing import Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from gateway.metadata.errors import BadDatabaseUrl

FILE_NAME: Final = "metadata.sqlite"
_DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "mysql": "mysql+asyncmy",
    "mariadb": "mysql+asyncmy",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
}
_KINDS: Final = {"mysql": "MySQL", "postgresql": "Postgres"}
_PORTS: Final = {"mysql": 3306, "postgresql": 5432}
TLS_MODES: Final = ("disable", "require", "verify-full")


def database_url(
    url: str = "",
    *,
    mysql_host: str = "",
    mysql_port: int = 3306,
    mysql_database: str = "tickgate",
    mysql_user: str = "tickgate",
    mysql_password: str = "",
    folder: Path,
) -> str:
    """Say where the metadata are: at `url`, else on the MySQL server, else in a file in the data folder.

    Raises BadDatabaseUrl. What it returns has the password in it.
    """
    if url:
        return normalize_url(url)
    if mysql_host:
        address = URL.create(
            _DRIVERS["mysql"], mysql_user, mysql_password or None, mysql_host, mysql_port, mysql_database
        )
    else:
        address = URL.create(_DRIVERS["sqlite"], database=str((folder / FILE_NAME).absolute()))
    return address.render_as_string(hide_password=False)


def normalize_url(url: str) -> str:
    """Spell an address with the driver that we use. Raises BadDatabaseUrl, which shows none of it."""
    try:
        address = make_url(url.strip())
    except (ArgumentError, ValueError):  # ValueError: the port is no number
        raise BadDatabaseUrl("write postgresql://…, mysql://… or sqlite:///file") from None
    kind = address.drivername.partition("+")[0]
    if kind not in _DRIVERS:
        raise BadDatabaseUrl(f"{kind}:// is not a database we know: postgresql://, mysql:// or sqlite:///")
    address = address.set(drivername=_DRIVERS[kind])
    _check(address)
    return address.render_as_string(hide_password=False)


def is_sqlite(url: str) -> bool:
    """Say whether the database is a file of ours."""
    return make_url(normalize_url(url)).get_backend_name() == "sqlite"


def place_of(address: URL | str) -> str:
    """Name a database for people: which server, which database; nobody's name or password."""
    address = make_url(address)
    kind = address.get_backend_name()
    if kind == "sqlite":
        return f"the file {address.database}"
    return f"{_KINDS[kind]} at {address.host}:{address.port or _PORTS[kind]}/{address.database}"


def _check(address: URL) -> None:
    is_file = address.get_backend_name() == "sqlite"
    if is_file and (address.database or ":memory:").startswith((":memory:", "file:")):
        raise BadDatabaseUrl("sqlite:// needs a file: sqlite:///metadata.sqlite")
    if not is_file and not (address.host and address.database):
        raise BadDatabaseUrl(
            "the address needs a host and a database: postgresql://user:password@host/database"
        )
    unknown = sorted(set(address.query) - (set() if is_file else {"sslmode", "sslrootcert"}))
    if unknown:
        raise BadDatabaseUrl(f"{', '.join(unknown)}: an option that is not known here")
    mode = address.query.get("sslmode", "disable")
    if mode not in TLS_MODES:
        raise BadDatabaseUrl(f"sslmode: write {', '.join(TLS_MODES)}")
