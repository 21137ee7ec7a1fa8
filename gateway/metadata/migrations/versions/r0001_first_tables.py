"""users, sessions, keys, market watch, symbols

Revision ID: 0001
Revises:
"""

from typing import Any, Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision: Final = "0001"
down_revision: Final = None

_MARIADB: Final[Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}
_MOMENT: Final = (
    sa.DateTime()
    .with_variant(mysql.DATETIME(fsp=3), "mysql")
    .with_variant(postgresql.TIMESTAMP(precision=3), "postgresql")
)
_EXACT: Final = sa.Numeric(20, 8).with_variant(sa.String(22), "sqlite")


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.String(254), nullable=False),
        sa.Column("name_folded", sa.String(762), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.Column("symbols", sa.Text, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name_folded", name="uq_users_name_folded"),
        **_MARIADB,
    )
    op.create_table(
        "user_sessions",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("session_id", sa.String(64), nullable=False),
        sa.Column("session_token", sa.String(64), nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("ip_address", sa.String(45), nullable=False),
        sa.Column("user_agent", sa.Text, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("last_activity", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        _of_user("user_sessions"),
        sa.UniqueConstraint("session_id", name="uq_user_sessions_session_id"),
        sa.UniqueConstraint("session_token", name="uq_user_sessions_session_token"),
        **_MARIADB,
    )
    op.create_index("ix_user_sessions_user_id", "user_sessions", ["user_id"])
    op.create_index("ix_user_sessions_expires_at", "user_sessions", ["expires_at"])
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("last_used_at", _MOMENT),
        sa.Column("expires_at", _MOMENT),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        _of_user("api_keys"),
        **_MARIADB,
    )
    op.create_index("ix_api_keys_user_id", "api_keys", ["user_id"])
    op.create_table(
        "market_watch",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("symbol", sa.String(50), nullable=False),
        sa.Column("display_order", sa.Integer, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        _of_user("market_watch"),
        sa.UniqueConstraint("user_id", "symbol", name="uq_market_watch_user_id_symbol"),
        **_MARIADB,
    )
    op.create_table(
        "symbolsmap",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("symbol", sa.String(50), nullable=False),
        sa.Column("venue", sa.String(50), nullable=False),
        sa.Column("native", sa.String(50), nullable=False),
        sa.Column("base_currency", sa.String(50), nullable=False),
        sa.Column("quote_currency", sa.String(50), nullable=False),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.Column("price_precision", sa.SmallInteger, nullable=False),
        sa.Column("quantity_precision", sa.SmallInteger, nullable=False),
        sa.Column("min_quantity", _EXACT),
        sa.Column("max_quantity", _EXACT),
        sa.Column("step_size", _EXACT),
        sa.Column("min_notional", _EXACT),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.Column("is_simulated", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("symbol", name="uq_symbolsmap_symbol"),
        sa.UniqueConstraint("venue", "native", name="uq_symbolsmap_venue_native"),
        **_MARIADB,
    )


def downgrade() -> None:
    for name in ("symbolsmap", "market_watch", "api_keys", "user_sessions", "users"):
        op.drop_table(name)


def _of_user(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE", name=f"fk_{table}_user_id")
