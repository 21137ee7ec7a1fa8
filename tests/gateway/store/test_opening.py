import pytest

from gateway.config.settings import Settings
from gateway.store.history import Change, StoreUnusable
from gateway.store.opening import open_store
from protocol.bars import Series

SERIES = Series("binance", "BTCUSDT", 1)


def settings(folder, **influx):
    return Settings.model_validate({"data": {"folder": folder}, "database": {"influx": influx}})


async def test_without_an_address_it_is_a_file_in_the_data_folder(tmp_path, make_bars):
    async with open_store(settings(tmp_path)) as store:
        await store.write([Change(SERIES, make_bars(3))])
        assert store.state() == (0, 0, None, "")
    assert (tmp_path / "history" / "history.duckdb").is_file()


async def test_with_an_address_it_is_there(tmp_path, influx_url, database, make_bars):
    async with open_store(settings(tmp_path, url=influx_url, version=1, bucket=database)) as store:
        await store.write([Change(SERIES, make_bars(3))])
        assert store.state().waiting_bytes == 0
    assert not (tmp_path / "history" / "history.duckdb").exists()


async def test_a_file_that_is_no_store_is_said(tmp_path):
    (tmp_path / "history").mkdir()
    (tmp_path / "history" / "history.duckdb").write_text("a diary")
    with pytest.raises(StoreUnusable, match="is not a DuckDB file"):
        async with open_store(settings(tmp_path)):
            pass
