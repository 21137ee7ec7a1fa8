"""Which store the settings name, with what it needs to be away for a while."""

from pathlib import Path
from typing import Final

from gateway.config.settings import Settings
from gateway.store.duck.store import DuckStore
from gateway.store.operations import OperatedStore
from gateway.store.spool import SpooledStore

DEFAULT_BUCKET: Final = "tickgate"


def open_store(settings: Settings) -> SpooledStore:
    """Return the store, to be entered with `async with`, which raises StoreUnusable.

    Whoever leaves it waits until what is under way is written; what waits on disk stays there.
    """
    return SpooledStore(_store(settings), history_folder(settings) / "spool", settings.history.spool_bytes)


def history_folder(settings: Settings) -> Path:
    return settings.data.folder / "history"


def _store(settings: Settings) -> OperatedStore:
    influx = settings.database.influx
    if not influx.url:
        return DuckStore(history_folder(settings) / "history.duckdb")
    from gateway.store.influx import InfluxStore  # its library takes half a second to load

    bucket = influx.bucket or DEFAULT_BUCKET
    return InfluxStore(
        influx.url, influx.token.get_secret_value(), influx.org, bucket, influx.version, influx.timeout_s
    )
