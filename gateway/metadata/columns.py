"""How values of ours look in SQL: the same on SQLite, MariaDB or MySQL, and Postgres.

    Moment    ms since 1970, UTC         DATETIME(3) · TIMESTAMP(3) · text
    Words     text of any characters     VARCHAR(n) or TEXT
    Names     a list of short texts      TEXT, as JSON
    Exact     a Decimal, or nothing      DECIMAL(20,8) · text, SQLite has no exact numbers

A moment has no time zone, and no server adds one: what is in a column is UTC.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from sqlalchemy import DateTime, Dialect, Numeric, String, Text, TypeDecorator
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeEngine

DIGITS: Final = 20
DECIMALS: Final = 8
_EPOCH: Final = datetime(1970, 1, 1)
_MS: Final = timedelta(milliseconds=1)
_STEP: Final = Decimal(1).scaleb(-DECIMALS)
_MOST: Final = Decimal(10) ** (DIGITS - DECIMALS)


class Moment(TypeDecorator[int]):
    """Milliseconds since 1970; in SQL a date and a time in UTC, to the millisecond."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        types: dict[str, TypeEngine[Any]] = {
            "mysql": mysql.DATETIME(fsp=3),
            "postgresql": postgresql.TIMESTAMP(precision=3),
        }
        return dialect.type_descriptor(types.get(dialect.name, DateTime()))

    def process_bind_param(self, value: int | None, _dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + timedelta(milliseconds=value)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> int | None:
        return None if value is None else (value - _EPOCH) // _MS


class Words(TypeDecorator[str]):
    """Text. What no server stores, the NUL character and halves of surrogate pairs, becomes U+FFFD."""

    impl = String
    cache_ok = True

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        if length is None:
            self.impl = Text()  # type: ignore[assignment]  # an instance, as TypeDecorator's own __init__ sets

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        return None if value is None else storable(value)


class Names(TypeDecorator[tuple[str, ...]]):
    """A list of short texts, as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Sequence[str] | None, _dialect: Dialect) -> str | None:
        return None if value is None else json.dumps([storable(one) for one in value], ensure_ascii=False)

    def process_result_value(self, value: str | None, _dialect: Dialect) -> tuple[str, ...] | None:
        return None if value is None else tuple(json.loads(value))


class Exact(TypeDecorator[Decimal]):
    """A decimal number. One that DECIMAL(20,8) would round or cannot hold is not stored: NULL."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        kind = String(DIGITS + 2) if dialect.name == "sqlite" else Numeric(DIGITS, DECIMALS)
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Decimal | str | None:
        exact = None if value is None else as_stored(value)
        return f"{exact:f}" if dialect.name == "sqlite" and exact is not None else exact

    def process_result_value(self, value: Decimal | str | None, _dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


def storable(text: str) -> str:
    """Return a text as every server stores it."""
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def as_stored(value: Decimal) -> Decimal | None:
    """Return the number with 8 decimals; None if that is another number, or too big."""
    try:
        stored = value.quantize(_STEP)
    except InvalidOperation:  # not a number, infinite, or beyond the precision of the context
        return None
    return stored if stored == value and abs(stored) < _MOST else None
