"""What gateways and commands tell each other about accounts, on `control.accounts`. JSON.

    {"type":"revoked","user":7,"sessions":["…"],"keys":["…"],"hashes":["…"]}    forget what you know of these
    {"type":"watch","user":7,"added":["BINANCE:BTCUSDT"],"removed":[]}           a market watch has changed

Best effort, and at once. Whoever misses one finds out by looking: what is known of a session is checked anew
every now and then.
"""

from typing import Final, TypeAlias

import msgspec

LONGEST: Final = 1024 * 1024


class Revoked(msgspec.Struct, frozen=True, tag="revoked", omit_defaults=True):
    """These sessions and keys are not what they were: ended, or others may see less, or more."""

    user: int = 0
    """Everything of this user's is meant; 0: only what is named."""
    sessions: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    """Of the tokens and secrets of all that is meant, as caches name them."""

    def means(self, user_id: int, session_id: str, key_id: str) -> bool:
        """Say whether somebody is meant who came with this session or this key."""
        return (
            (self.user != 0 and self.user == user_id)
            or (session_id != "" and session_id in self.sessions)
            or (key_id != "" and key_id in self.keys)
        )


class Watched(msgspec.Struct, frozen=True, tag="watch", omit_defaults=True):
    """A user's market watch has changed. Symbols by their full names."""

    user: int
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


Notice: TypeAlias = Revoked | Watched


class BadNotice(Exception):
    """A message that is none of these."""


def format_notice(notice: Notice) -> bytes:
    return msgspec.json.encode(notice)


def parse_notice(payload: bytes) -> Notice:
    """Read a notice. Raises BadNotice, never anything else."""
    if len(payload) > LONGEST:
        raise BadNotice(f"{len(payload)} bytes")
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadNotice(str(error)) from None


_decoder: Final[msgspec.json.Decoder[Notice]] = msgspec.json.Decoder[Notice](Revoked | Watched)
