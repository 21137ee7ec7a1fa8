"""Addresses of databases."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

from gateway.config.load import load_settings
from gateway.metadata.engine import Pool
from gateway.metadata.errors import BadDatabaseUrl
from gateway.metadata.opening import pool_of, url_of
from gateway.metadata.urls import database_url, is_sqlite, normalize_url, place_of


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("postgres://a:b@host/db", "postgresql+asyncpg://a:b@host/db"),
        ("postgresql://a:b@host:5433/db", "postgresql+asyncpg://a:b@host:5433/db"),
        ("postgresql+psycopg2://a:b@host/db", "postgresql+asyncpg://a:b@host/db"),
        ("mysql://a:b@host/db", "mysql+asyncmy://a:b@host/db"),
        ("mariadb://a@host/db?sslmode=require", "mysql+asyncmy://a@host/db?sslmode=require"),
        (" sqlite:///some/file ", "sqlite+aiosqlite:///some/file"),
        ("sqlite:////some/file", "sqlite+aiosqlite:////some/file"),
        ("postgresql://a:p%40ss%2Fw@host/db", "postgresql+asyncpg://a:p%40ss%2Fw@host/db"),
    ],
)
def test_an_address_gets_the_driver_that_we_use(written, meant):
    assert normalize_url(written) == meant
    assert normalize_url(meant) == meant


@pytest.mark.parametrize(
    "written",
    [
        "",
        "s3cret",
        "mongodb://a:s3cret@host/db",
        "postgresql://a:s3cret@host:port/db",
        "postgresql://a:s3cret@/db",
        "postgresql://a:s3cret@host",
        "postgresql://a:s3cret@host/db?sslmode=perhaps",
        "mysql://a:s3cret@host/db?init_command=DROP",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:s3cret?mode=memory&uri=true",
    ],
)
def test_what_is_no_address_is_refused_without_showing_it(written):
    with pytest.raises(BadDatabaseUrl) as refused:
        normalize_url(written)

    assert "s3cret" not in str(refused.value)


def test_without_an_address_there_is_a_file(tmp_path):
    odd = tmp_path / "100% sure? #1"
    url = database_url(folder=odd)

    assert is_sqlite(url)
    assert make_url(url).database == str(odd / "metadata.sqlite")


def test_a_relative_folder_is_the_same_for_all_who_ask():
    assert make_url(database_url(folder=Path("data"))).database == str(Path.cwd() / "data/metadata.sqlite")


def test_an_address_goes_before_mysql_and_that_before_the_file(tmp_path):
    mysql = {"mysql_host": "db", "mysql_user": "ann", "mysql_password": "p@ss/w:rd?"}

    assert database_url("postgres://a@host/db", folder=tmp_path, **mysql) == "postgresql+asyncpg://a@host/db"
    address = make_url(database_url(folder=tmp_path, **mysql))
    assert (address.host, address.port, address.database) == ("db", 3306, "tickgate")
    assert (address.username, address.password) == ("ann", "p@ss/w:rd?")


def test_the_settings_name_a_database():
    environ = {"MYSQL_HOST": "db", "MYSQL_PASSWORD": "s3cret", "MYSQL_MAX_OPEN_CONNS": "7"}
    settings = load_settings(None, environ, {})

    assert url_of(settings) == "mysql+asyncmy://tickgate:s3cret@db:3306/tickgate"
    assert pool_of(settings) == Pool(7, 10, 300.0)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://ann:s3cret@db.internal/prices?sslmode=require", "Postgres at db.internal:5432/prices"),
        ("mysql://ann:s3cret@10.0.0.7:3307/prices", "MySQL at 10.0.0.7:3307/prices"),
        ("sqlite:////var/lib/tickgate/metadata.sqlite", "the file /var/lib/tickgate/metadata.sqlite"),
    ],
)
def test_a_place_is_named_without_a_secret(url, place):
    assert place_of(normalize_url(url)) == place
