"""The metadata as a role finds them: opened, and brought up to date if they are a file of ours."""

import contextlib
from collections.abc import AsyncIterator

import structlog

from gateway.config.load import Settings
from gateway.metadata.database import Database, open_database
from gateway.metadata.errors import BadDatabaseUrl, MetadataDown, MetadataOld
from gateway.metadata.opening import pool_of, url_of
from gateway.metadata.urls import is_sqlite
from gateway.processes.lifetime import Failure

log = structlog.get_logger()


class MetadataUnusable(Failure):
    """The database of users and watchlists cannot be used, and waiting mends nothing."""


@contextlib.asynccontextmanager
async def open_metadata(settings: Settings) -> AsyncIterator[Database]:
    """Open them. A server that is away may come later; a file that cannot be used raises MetadataUnusable."""
    try:
        url = url_of(settings)
    except BadDatabaseUrl as error:
        raise MetadataUnusable(f"database.url: {error}") from None
    if is_sqlite(url):
        settings.data.folder.mkdir(parents=True, exist_ok=True)
    async with open_database(url, pool_of(settings)) as database:
        try:
            await _bring_up_to_date(database, url)
        except MetadataDown as error:
            if is_sqlite(url) or isinstance(error, MetadataOld):
                raise MetadataUnusable(str(error)) from None
            log.warning("metadata.away", reason=str(error))
        yield database


async def _bring_up_to_date(database: Database, url: str) -> None:
    """Change the tables of a file as we need them. Raises MetadataDown, and MetadataOld of a server."""
    try:
        await database.check()
    except MetadataOld:
        if not is_sqlite(url):
            raise
        from gateway.metadata.migrate import up  # here: what it loads is 15 MB, and it is seldom needed

        await up(url)
