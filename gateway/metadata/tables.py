"""The tables, as the newest migration leaves them.

    users          who may log in, and which symbols they may see
    user_sessions  one row a login; the token only as its hash
    api_keys       one row a key of a service; the secret only as its hash
    market_watch   one row a symbol on a user's list
    symbolsmap     one row a symbol that ever had an id

Names are those of the first design; what differs from it:

- `user_sessions.session_token` holds the SHA-256 of the token, `session_id` is new and no secret, and
  `user_id` is the number of a user.
- `market_watch` belongs to a user (`user_id`), not to a session: a list outlives a logout.
- `symbolsmap.id` is given by the registry, never by the database; `venue`, `native`, `is_simulated` are new.
- No column takes a time or a default from the server: the program says them all, in UTC.

Texts compare by their code points on every server (MariaDB: `utf8mb4_bin`). What is unique in any case, the
name of a user, is so by a column that holds it folded.
"""

from typing import Any, Final

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    UniqueConstraint,
)

from gateway.metadata.columns import Exact, Moment, Names, Words

NAME_LENGTH: Final = 254
"""An e-mail address is a name, too."""
FOLDED_LENGTH: Final = 762
"""Folding makes three characters of one at most; MariaDB has 768 in an index at most."""
SYMBOL_LENGTH: Final = 50
KEY_NAME_LENGTH: Final = 100
ADDRESS_LENGTH: Final = 45
AGENT_LENGTH: Final = 500
PATTERNS_BYTES: Final = 60_000
"""A TEXT of MariaDB has 65,535."""
_MARIADB: Final[Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}

TABLES: Final = MetaData(
    naming_convention={
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _user_id() -> Column[int]:
    return Column("user_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), nullable=False)


USERS: Final = Table(
    "users",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("name", Words(NAME_LENGTH), nullable=False),
    Column("name_folded", Words(FOLDED_LENGTH), nullable=False),
    Column("password_hash", Words(255), nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("symbols", Names, nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("name_folded"),
    **_MARIADB,
)
USER_SESSIONS: Final = Table(
    "user_sessions",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("session_id", Words(64), nullable=False),
    Column("session_token", Words(64), nullable=False),
    _user_id(),
    Column("ip_address", Words(ADDRESS_LENGTH), nullable=False),
    Column("user_agent", Words(), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("last_activity", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("is_active", Boolean, nullable=False),
    UniqueConstraint("session_id"),
    UniqueConstraint("session_token"),
    Index(None, "user_id"),
    Index(None, "expires_at"),
    **_MARIADB,
)
API_KEYS: Final = Table(
    "api_keys",
    TABLES,
    Column("id", Words(64), primary_key=True),
    _user_id(),
    Column("secret_hash", Words(64), nullable=False),
    Column("name", Words(KEY_NAME_LENGTH), nullable=False),
    Column("scopes", Names, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("last_used_at", Moment),
    Column("expires_at", Moment),
    Column("is_active", Boolean, nullable=False),
    Index(None, "user_id"),
    **_MARIADB,
)
MARKET_WATCH: Final = Table(
    "market_watch",
    TABLES,
    Column("id", Integer, primary_key=True),
    _user_id(),
    Column("symbol", Words(SYMBOL_LENGTH), nullable=False),
    Column("display_order", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("user_id", "symbol"),
    **_MARIADB,
)
SYMBOLSMAP: Final = Table(
    "symbolsmap",
    TABLES,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("symbol", Words(SYMBOL_LENGTH), nullable=False),
    Column("venue", Words(50), nullable=False),
    Column("native", Words(SYMBOL_LENGTH), nullable=False),
    Column("base_currency", Words(50), nullable=False),
    Column("quote_currency", Words(50), nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("price_precision", SmallInteger, nullable=False),
    Column("quantity_precision", SmallInteger, nullable=False),
    Column("min_quantity", Exact),
    Column("max_quantity", Exact),
    Column("step_size", Exact),
    Column("min_notional", Exact),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("is_simulated", Boolean, nullable=False),
    UniqueConstraint("symbol"),
    UniqueConstraint("venue", "native"),
    **_MARIADB,
)
