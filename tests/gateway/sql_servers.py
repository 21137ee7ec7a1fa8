"""Real SQL servers from the machine's programs, with databases to hand out: MariaDB and Postgres.

Each keeps its data in a folder of its own that is gone afterwards, and writes nothing through to the disk. A
server that refuses to run as root runs as the user of its Debian package, so the folder must be one that this
user can reach: not one of pytest's.
"""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gateway.processes.ports import find_free_port

START_TIMEOUT_S = 60
_databases = itertools.count(1)


class SqlServer(ABC):
    """A server that can be stopped and started again, on the same port with the same data."""

    programs: Sequence[str]
    account: str
    and_user = ""
    """What else to run when a database is created, for the user of `url` to have it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = find_free_port()
        self.certificate = folder / "certificate.pem"
        """Its own, for `localhost`; who trusts it can check that."""
        self.key = folder / "key.pem"
        self._process: subprocess.Popen[bytes] | None = None

    def certify(self) -> None:
        """Make the certificate."""
        self.run(
            _find("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-keyout", str(self.key), "-out", str(self.certificate), "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
        )  # fmt: skip

    @abstractmethod
    def set_up(self) -> None:
        """Make the data folder."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return what runs the server."""

    @abstractmethod
    def run_sql(self, statement: str) -> None:
        """Run one statement as whoever may do anything; raises CalledProcessError."""

    @abstractmethod
    def url(self, database: str) -> str:
        """Return the address of a database, with a password in it."""

    def create_database(self) -> str:
        """Create an empty one, and return its address."""
        name = f"test_{next(_databases)}"
        self.run_sql(f"CREATE DATABASE {name}{self.and_user}")
        return self.url(name)

    def start(self) -> None:
        """Start, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self.command(), stdout=log, stderr=log, user=self.user())
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(subprocess.CalledProcessError):
                self.run_sql("SELECT 1")
                return
            time.sleep(0.05)
        pytest.fail(f"{self.programs[0]} did not start: {(self.folder / 'log').read_text()[-2000:]}")

    def stop(self) -> None:
        """End it at once, as a crash does."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def halt(self) -> None:
        """Let it be there and do nothing, until `resume`. Each of its threads stands when this returns."""
        for _ in range(2):  # the list of a process's children is complete only once they stand
            self._signal(signal.SIGSTOP)
            while not all(map(_stands, self._processes())):
                time.sleep(0.001)
                self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for one in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, number)

    def _processes(self) -> list[int]:
        """Return the server and its children: each connection to Postgres is one."""
        assert self._process is not None
        pid = self._process.pid
        return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]

    def user(self) -> str | None:
        """Return as whom it has to run, if not as we do."""
        return self.account if os.geteuid() == 0 else None

    def run(self, *argv: str) -> None:
        """Run a program as the server's user; raises CalledProcessError."""
        subprocess.run(argv, check=True, capture_output=True, user=self.user(), cwd=self.folder)


def _stands(pid: int) -> bool:
    """Say whether each thread of a process is stopped, or gone."""
    states = []
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            states.append(stat.read_text().rpartition(") ")[2][0])
    return set(states) <= set("TZX")


class MariaDb(SqlServer):
    programs = ("mariadbd", "mariadb-install-db", "mariadb", "openssl")
    account = "mysql"
    and_user = "; CREATE USER IF NOT EXISTS tickgate IDENTIFIED BY 's3cret'; GRANT ALL ON *.* TO tickgate"

    def set_up(self) -> None:
        install = (_find("mariadb-install-db"), "--no-defaults", f"--datadir={self.folder / 'data'}")
        self.run(*install, "--auth-root-authentication-method=normal", "--skip-test-db")

    def command(self) -> Sequence[str]:
        return (
            _find("mariadbd"), "--no-defaults", f"--datadir={self.folder / 'data'}", f"--port={self.port}",
            # A server that starts deletes the temporary tables of any that it finds in its folder.
            f"--tmpdir={self.folder}", f"--ssl-cert={self.certificate}", f"--ssl-key={self.key}",
            "--bind-address=127.0.0.1", f"--socket={self.socket}", "--skip-name-resolve",
            "--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M", "--innodb-flush-log-at-trx-commit=2",
            "--innodb-doublewrite=0", "--innodb-flush-method=nosync", "--key-buffer-size=1M",
            "--performance-schema=OFF", "--aria-pagecache-buffer-size=1M", "--table-open-cache=64",
        )  # fmt: skip

    def run_sql(self, statement: str) -> None:
        self.run(_find("mariadb"), "--no-defaults", f"--socket={self.socket}", "-uroot", "-e", statement)

    def url(self, database: str) -> str:
        return f"mysql://tickgate:s3cret@127.0.0.1:{self.port}/{database}"

    @property
    def socket(self) -> Path:
        return self.folder / "socket"


class Postgres(SqlServer):
    programs = ("postgres", "initdb", "psql", "openssl")
    account = "postgres"

    def set_up(self) -> None:
        password = self.folder / "password"
        password.write_text("s3cret")
        self.run(
            _find("initdb"), f"--pgdata={self.folder / 'data'}",
            "--username=tickgate", f"--pwfile={password}",
            "--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync",
        )  # fmt: skip

    def command(self) -> Sequence[str]:
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "ssl": "on",
            "ssl_cert_file": self.certificate,
            "ssl_key_file": self.key,
            "fsync": "off",
            "shared_buffers": "2MB",
            "max_connections": 40,
            "timezone": "Asia/Tokyo",  # whose clock differs from ours: nothing may depend on it
        }
        settings = [text for name, value in options.items() for text in ("-c", f"{name}={value}")]
        return (_find("postgres"), "-D", str(self.folder / "data"), *settings)

    def run_sql(self, statement: str) -> None:
        place = (f"--host={self.folder}", f"--port={self.port}", "--username=tickgate")
        self.run(_find("psql"), *place, "--dbname=postgres", "--set=ON_ERROR_STOP=1", "--command", statement)

    def url(self, database: str) -> str:
        return f"postgresql://tickgate:s3cret@127.0.0.1:{self.port}/{database}"


@contextlib.contextmanager
def run_server(kind: type[SqlServer]) -> Iterator[SqlServer]:
    """Run a server until the block is left; skip the test where there is none, unless it must be there."""
    if any(_find(program) is None for program in kind.programs):
        message = f"{kind.programs[0]} is missing: apt-get install mariadb-server postgresql"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    folder = Path(tempfile.mkdtemp(prefix="tickgate-sql-"))
    server = kind(folder)
    try:
        if (user := server.user()) is not None:
            account = pwd.getpwnam(user)
            os.chown(folder, account.pw_uid, account.pw_gid)
        server.certify()
        server.set_up()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _find(program: str) -> str | None:
    """Find a program, also where Debian puts those that are not for everybody."""
    places = [os.environ.get("PATH", ""), "/usr/sbin", *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    return shutil.which(program, path=os.pathsep.join(places))
