"""Why somebody is not let in. What an HTTP answer or a closed socket makes of it is theirs."""

from typing import ClassVar


class AccountError(Exception):
    """Something about who asks, or for what account; the message is for them."""

    status: ClassVar[int]
    error: ClassVar[str]
    """One word for programs."""
    retry_after_s: float = 0
    """When to come again; 0: that is not what helps."""


class NotLoggedIn(AccountError):
    """One has to be logged in, and is not, or not any more."""

    status = 401
    error = "not_logged_in"

    def __init__(self, reason: str = "log in first", *, by_cookie: bool = False) -> None:
        self.by_cookie = by_cookie
        """A cookie was shown that is worth nothing: it may as well go."""
        super().__init__(reason)


class WrongLogin(AccountError):
    """There is no active user of that name and password; which of the three it is stays unsaid."""

    status = 401
    error = "wrong_login"

    def __init__(self) -> None:
        super().__init__("the name or the password is wrong")


class TooManyLogins(AccountError):
    """An account or an address has had so many wrong logins that more are refused unread."""

    status = 429
    error = "too_many_logins"

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__("too many wrong logins; wait")


class TooManyGuesses(AccountError):
    """An address shows so many tokens that nobody was given that more are refused unread."""

    status = 429
    error = "too_many_wrong_tokens"

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__("too many tokens that are worth nothing; wait")


class LoginsFull(AccountError):
    """So many are logging in at this moment that no more may wait."""

    status = 503
    error = "logins_full"
    retry_after_s = 1.0

    def __init__(self) -> None:
        super().__init__("too many are logging in at this moment")


class AccountsDown(AccountError):
    """The accounts cannot be looked up now."""

    status = 503
    error = "accounts_unavailable"

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__("accounts cannot be looked up now")


class BadPassword(AccountError):
    """No account may have that password."""

    status = 400
    error = "bad_password"


class UnknownName(AccountError):
    """There is no user of that name."""

    status = 404
    error = "unknown_user"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no user {name!r}")


class UnknownKey(AccountError):
    """There is no API key of that id."""

    status = 404
    error = "unknown_key"

    def __init__(self, key_id: str) -> None:
        super().__init__(f"there is no key {key_id!r}")
