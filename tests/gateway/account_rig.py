"""Accounts on a real database, a cache and a bus, with a clock that stands until a test moves it."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from argon2 import PasswordHasher

from gateway.accounts.accounts import Accounts, Login, Rules
from gateway.accounts.credentials import Credentials
from gateway.accounts.passwords import Passwords
from gateway.accounts.register import Register
from gateway.cache.cache import Cache
from gateway.cache.memory import MemoryCache
from gateway.metadata.database import Database, open_database
from gateway.metadata.migrate import prepare
from processors.bus import Bus

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "correct horse"
ADDRESS = "192.0.2.7"


@dataclass
class Clock:
    now_ms: int = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now_ms

    def move_s(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1_000)


@dataclass
class AccountRig:
    """What gateways share, and what a test does to it."""

    database: Database
    bus: Bus
    file: Path
    clock: Clock = field(default_factory=Clock)
    passwords: Passwords = field(default_factory=lambda: Passwords(QUICK))

    def accounts(self, cache: Cache | None = None, **rules: object) -> Accounts:
        """Build the accounts of one more gateway, with a cache of its own unless one is given."""
        made = Rules(**rules)  # type: ignore[arg-type]  # whatever a test says
        return Accounts(self.database, cache or MemoryCache(), self.bus, made, self.passwords, self.clock)

    @property
    def register(self) -> Register:
        return Register(self.database, self.passwords, self.clock)

    @contextlib.contextmanager
    def sql_is_away(self):
        """Have no query about accounts answered."""
        self._run(
            "ALTER TABLE users RENAME TO users_away", "ALTER TABLE user_sessions RENAME TO sessions_away"
        )
        yield
        self._run(
            "ALTER TABLE users_away RENAME TO users", "ALTER TABLE sessions_away RENAME TO user_sessions"
        )

    def _run(self, *statements: str) -> None:
        with contextlib.closing(sqlite3.connect(self.file)) as connection:
            for statement in statements:
                connection.execute(statement)


@contextlib.asynccontextmanager
async def open_rig(folder: Path, bus: Bus) -> AsyncIterator[AccountRig]:
    """Open a rig with one user, ann."""
    file = folder / "metadata.sqlite"
    await prepare(f"sqlite:///{file}")
    async with open_database(f"sqlite:///{file}") as database:
        rig = AccountRig(database, bus, file)
        await rig.register.add_user("ann", PASSWORD)
        yield rig


async def log_in(accounts: Accounts, name: str = "ann", password: str = PASSWORD) -> Login:
    return await accounts.login(name, password, ADDRESS, "a test")


def shown(token: str, address: str = ADDRESS) -> Credentials:
    return Credentials(token, address=address)
