"""Which step of the migrations the tables are at, as the database says it."""

from typing import Final

from sqlalchemy import Column, MetaData, String, Table, select

from gateway.metadata.errors import MetadataOld
from gateway.metadata.transactions import Transactions

HEAD: Final = "0001"
"""The step that `tables.py` describes. Kept here so that a gateway need not load Alembic to compare."""
_VERSION: Final = Table("alembic_version", MetaData(), Column("version_num", String(32)))


async def check_schema(transactions: Transactions) -> None:
    """Raise MetadataOld if the tables are not those of this program, MetadataDown if nobody can tell."""
    row = await transactions.row(select(_VERSION.c.version_num))
    found = None if row is None else row.version_num
    if found != HEAD:
        raise wrong_schema(transactions.place, found)


def wrong_schema(place: str, found: str | None) -> MetadataOld:
    """Build the error for tables of another step."""
    if found is not None and found > HEAD:  # the steps are numbered
        return MetadataOld(
            place, f"its tables are at {found}, this program knows {HEAD}", "run a newer tickgate"
        )
    return MetadataOld(place, f"its tables are at {found or 'nothing'}, this program needs {HEAD}")
