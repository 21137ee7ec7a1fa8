"""The one door to argon2: passwords become hashes, and are checked against them.

Argon2id with the parameters that the library recommends (RFC 9106, low memory: 64 MiB, 3 passes), which
costs tens of milliseconds and all that memory. So it is done in threads, two at once. Others wait; full, at
`MOST_WAITING`, whoever comes then is refused (LoginsFull).
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.accounts.errors import BadPassword, LoginsFull

AT_ONCE: Final = 2
MOST_WAITING: Final = 30
"""The last of them waits for about a second."""
SHORTEST: Final = 8
LONGEST: Final = 1024
Made = TypeVar("Made")


class Passwords:
    """Hashes and checks passwords. Its threads end when nobody has it any more."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        """Without a hasher, that of the library's current parameters."""
        self._hasher = hasher or PasswordHasher()
        self._threads = ThreadPoolExecutor(AT_ONCE, "password")
        self._at_work = 0

    async def hash(self, password: str) -> str:
        """Return what is to be stored. Raises LoginsFull."""
        return await self._in_thread(lambda: self._hasher.hash(_bytes(password)))

    async def check(self, stored: str, password: str) -> bool:
        """Say whether this is the password that `stored` was made from. Raises LoginsFull."""
        return await self._in_thread(lambda: self._is_right(stored, password))

    def is_outdated(self, stored: str) -> bool:
        """Say whether a hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def _is_right(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _in_thread(self, work: Callable[[], Made]) -> Made:
        if self._at_work >= AT_ONCE + MOST_WAITING:
            raise LoginsFull
        self._at_work += 1
        try:
            # Not asyncio's own threads: there a wave of logins would hold up everybody else's work. And if
            # whoever waits is cancelled, the thread that goes on with it still counts as one of ours.
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._at_work -= 1


def check_password_rules(name: str, password: str) -> None:
    """Refuse passwords that protect nothing. Raises BadPassword."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadPassword(f"a password has from {SHORTEST} to {LONGEST} characters")
    if password.casefold() == name.casefold():
        raise BadPassword("a password is not the name")


def _bytes(password: str) -> bytes:
    return password.encode(errors="surrogatepass")  # any text may be tried; none is to be a failure of ours
