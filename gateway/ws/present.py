"""The sockets of those who are logged in, by user and by what they logged in with.

The rules of this file:
- Who logs out or is revoked loses their sockets at once (4403).
- A notice may be missed: everybody is looked up again in `CHECK_EVERY_S`, some at a time, so that it is a
  trickle and no flood. While nobody can tell, they stay.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from itertools import islice
from typing import Final, Protocol, TypeAlias, TypeVar

from gateway.accounts.errors import AccountError
from gateway.accounts.identity import Identity
from gateway.accounts.notices import Revoked
from protocol.errors import CloseCode

CHECK_EVERY_S: Final = 15.0
CHECKS_AT_ONCE: Final = 50


class Socket(Protocol):
    """A client, as far as who it is matters."""

    def close(self, code: int, reason: str = "") -> None:
        """End it."""

    def on_market_watch(self, names: Sequence[str], *, is_copy: bool) -> None:
        """Be told what the user's market watch is now; of a copy the order is not the user's."""


Sockets: TypeAlias = dict[Socket, Identity]
StillValid: TypeAlias = Callable[[Identity], Awaitable[bool]]
Key = TypeVar("Key", bound=Hashable)


class Present:
    """Everybody who is here and logged in. Bounded by the connections of the gateway."""

    def __init__(self) -> None:
        self._by_user: defaultdict[int, Sockets] = defaultdict(dict)
        self._by_login: defaultdict[str, Sockets] = defaultdict(dict)
        """By the id of a session or a key."""

    def join(self, socket: Socket, identity: Identity) -> None:
        if not identity.is_anonymous:
            self._by_user[identity.user_id][socket] = identity
            self._by_login[_login(identity)][socket] = identity

    def leave(self, socket: Socket, identity: Identity) -> None:
        _remove(self._by_user, identity.user_id, socket)
        _remove(self._by_login, _login(identity), socket)

    @property
    def users(self) -> list[int]:
        return list(self._by_user)

    def of_user(self, user_id: int) -> Sockets:
        """Return the sockets of a user, and who each of them is."""
        return dict(self._by_user.get(user_id, {}))

    def on_revoked(self, revoked: Revoked) -> None:
        """Close the sockets of those who are meant."""
        meant = self.of_user(revoked.user)
        for login in (*revoked.sessions, *revoked.keys):
            meant |= self._by_login.get(login, {})
        _close(meant)

    async def check(self, still_valid: StillValid) -> None:
        """Look everybody up again and again. Until cancelled."""
        while True:
            rounds = max(len(self._by_login) / CHECKS_AT_ONCE, 1)
            await asyncio.sleep(CHECK_EVERY_S / rounds)
            await self.check_all(still_valid, CHECK_EVERY_S / rounds)

    async def check_all(self, still_valid: StillValid, pause_s: float) -> None:
        """Look everybody up once, with pauses, and close the sockets of those who are not what they were."""
        logins = iter(list(self._by_login))
        some = list(islice(logins, CHECKS_AT_ONCE))
        while some:
            async with asyncio.TaskGroup() as tasks:
                for login in some:
                    tasks.create_task(self._check(login, still_valid))
            some = list(islice(logins, CHECKS_AT_ONCE))
            if some:
                await asyncio.sleep(pause_s)

    async def _check(self, login: str, still_valid: StillValid) -> None:
        for identity in set(self._by_login.get(login, {}).values()):
            try:
                is_valid = await still_valid(identity)
            except AccountError:  # nobody can tell now
                is_valid = True
            if not is_valid:
                here = self._by_login.get(login, {})
                _close([socket for socket, one in here.items() if one == identity])


def _login(identity: Identity) -> str:
    return identity.session_id or identity.key_id


def _remove(index: defaultdict[Key, Sockets], key: Key, socket: Socket) -> None:
    sockets = index.get(key)
    if sockets is not None:
        sockets.pop(socket, None)
        if not sockets:
            del index[key]


def _close(sockets: Iterable[Socket]) -> None:
    for socket in sockets:
        socket.close(CloseCode.LOGGED_OUT, "logged out, or no longer what it was")
