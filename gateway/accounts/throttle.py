"""How often somebody may try to log in.

Of an account every try counts, before the password is looked at, until one is right: tries at the same moment
cannot all be the last that was free. Of an address only wrong ones count, since an office is one address.
Whether an account exists makes no difference. All gateways count together, over the cache.
"""

from hashlib import sha256

from gateway.accounts.errors import TooManyLogins
from gateway.addresses import counted_as
from gateway.cache import keys
from gateway.cache.cache import Cache
from gateway.metadata.users import fold


class Throttle:
    """Counts logins."""

    def __init__(self, cache: Cache, attempts: int, window_s: float) -> None:
        self._cache = cache
        self._attempts = attempts
        self._window_s = window_s

    async def before(self, name: str, address: str) -> None:
        """Count a try that is about to be made. Raises TooManyLogins."""
        if await self._cache.get(_blocked(address)) is not None:
            raise TooManyLogins(self._window_s)
        if await self._cache.count(_account(name), self._window_s) > self._attempts:
            raise TooManyLogins(self._window_s)

    async def wrong(self, address: str) -> None:
        """Note that a try was wrong."""
        if await self._cache.count(_address(address), self._window_s) >= self._attempts:
            await self._cache.put({_blocked(address): b"1"}, self._window_s)

    async def right(self, name: str) -> None:
        """Forget the tries of an account: its owner has come."""
        await self._cache.forget(_account(name))


def _account(name: str) -> str:
    # A digest, because a name may be anything, and nobody needs to read names in a cache.
    return keys.limit("logins of account", sha256(fold(name).encode(errors="surrogatepass")).hexdigest())


def _address(address: str) -> str:
    return keys.limit("wrong logins from", counted_as(address))


def _blocked(address: str) -> str:
    return keys.limit("no logins from", counted_as(address))
