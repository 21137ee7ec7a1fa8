"""Which database the settings name."""

from gateway.config.settings import Settings
from gateway.metadata.engine import Pool
from gateway.metadata.urls import database_url


def url_of(settings: Settings) -> str:
    """Return its address, with the password in it. Raises BadDatabaseUrl."""
    mysql = settings.database.mysql
    return database_url(
        settings.database.url.get_secret_value(),
        mysql_host=mysql.host,
        mysql_port=mysql.port,
        mysql_database=mysql.database,
        mysql_user=mysql.user,
        mysql_password=mysql.password.get_secret_value(),
        folder=settings.data.folder,
    )


def pool_of(settings: Settings) -> Pool:
    mysql = settings.database.mysql
    return Pool(mysql.max_open_conns, mysql.max_idle_conns, mysql.conn_max_lifetime_s)
