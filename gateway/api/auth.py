"""`/api/v1/auth`: logging in and out, and the sessions of whoever is logged in."""

from typing import Annotated, Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.accounts.accounts import Accounts
from gateway.accounts.credentials import COOKIE
from gateway.accounts.errors import NotLoggedIn, WrongLogin
from gateway.accounts.identity import Identity, Scope
from gateway.accounts.passwords import LONGEST, SHORTEST
from gateway.api.answers import json_response
from gateway.api.guard import Guard
from gateway.api.operations import (
    FLAG,
    TEXT,
    WHOLE,
    Answer,
    Limit,
    Operation,
    Values,
    array,
    identity_of,
    record,
)
from gateway.api.refusals import FORGET_COOKIE, NotAllowed
from gateway.metadata.sessions import StoredSession

PRIVATE: Final = {"Cache-Control": "no-store"}
TAG: Final = "accounts"


class LoginBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Name and password of a user."""

    username: Annotated[str, msgspec.Meta(min_length=1, max_length=254)]
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST)]
    cookie: bool = True
    """False: no cookie is set, and the answer has the token, to be sent as a bearer."""

    def __repr__(self) -> str:
        return "LoginBody(…)"  # it has a secret


class PasswordBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user's password, and what it is to be."""

    old: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST)]
    new: Annotated[str, msgspec.Meta(min_length=SHORTEST, max_length=LONGEST)]

    def __repr__(self) -> str:
        return "PasswordBody(…)"


WHO: Final = {
    "session_id": TEXT,
    "user": TEXT,
    "expires": WHOLE,
    "scopes": array(TEXT),
    "symbols": array(TEXT),
}
ENDED: Final = Answer("How many sessions have ended.", record(ended=WHOLE))
LOGIN: Final = Operation(
    path="/api/v1/auth/login",
    method="POST",
    name="login",
    summary="Begin a session",
    details=(
        "The session is in the cookie `session_token`; with `cookie: false` there is none, and the answer has"
        " the `token`, to be sent as `Authorization: Bearer`. It ends at `expires` (ms), which moves while it"
        " is used. Wrong logins are counted, of an account and of an address: then 429."
    ),
    body=LoginBody,
    needs=None,
    limit=Limit.ACCOUNT,
    answers={
        200: Answer(
            "Who has logged in, and which symbols they may see: patterns, none is every symbol.",
            record("token", **WHO, token=TEXT),
            headers={"Set-Cookie": "The session; not with `cookie: false`."},
        )
    },
    refuses=(401, 503),
    tag=TAG,
)
LOGOUT: Final = Operation(
    path="/api/v1/auth/logout",
    method="POST",
    name="logout",
    summary="End the session",
    details="Its streams close. Without a session nothing is left to do, and that is no error.",
    needs=None,
    limit=Limit.ACCOUNT,
    answers={200: ENDED},
    refuses=(503,),
    tag=TAG,
)
SESSION: Final = Operation(
    path="/api/v1/auth/session",
    name="session",
    summary="Who is logged in",
    details="Of an API key too, whose `session_id` is empty. `expires` is 0 for what does not end.",
    limit=Limit.ACCOUNT,
    answers={200: Answer("Who asks.", record(**WHO))},
    tag=TAG,
)
SESSIONS: Final = Operation(
    path="/api/v1/auth/sessions",
    name="sessions",
    summary="The sessions of this user",
    needs=Scope.ACCOUNT,
    limit=Limit.ACCOUNT,
    answers={
        200: Answer(
            "The newest first; times in ms.",
            array(
                record(
                    session_id=TEXT, address=TEXT, agent=TEXT, created=WHOLE, last_activity=WHOLE,
                    expires=WHOLE, current=FLAG,
                )
            ),
        )
    },
    tag=TAG,
)  # fmt: skip
END_SESSIONS: Final = Operation(
    path="/api/v1/auth/sessions",
    method="DELETE",
    name="end_sessions",
    summary="End all other sessions of this user",
    needs=Scope.ACCOUNT,
    limit=Limit.ACCOUNT,
    answers={200: ENDED},
    tag=TAG,
)
PASSWORD: Final = Operation(
    path="/api/v1/auth/password",
    method="PUT",
    name="password",
    summary="Change the password",
    details="All other sessions of this user end. API keys stay.",
    body=PasswordBody,
    needs=Scope.ACCOUNT,
    limit=Limit.ACCOUNT,
    answers={200: ENDED},
    tag=TAG,
)
OPERATIONS: Final = (LOGIN, LOGOUT, SESSION, SESSIONS, END_SESSIONS, PASSWORD)


def routes(accounts: Accounts, guard: Guard) -> list[Route]:
    """Build the routes on this gateway's accounts."""

    async def log_in(request: Request, given: Values) -> Response:
        body: LoginBody = given["body"]
        agent = request.headers.get("user-agent", "")
        login = await accounts.login(body.username, body.password, guard.address_of(request), agent)
        answer = who(login.identity)
        if not body.cookie:
            return json_response(answer | {"token": login.token}, headers=PRIVATE)
        response = json_response(answer, headers=PRIVATE)
        # As long as the session can last: when it ends is the gateway's to say, and moves while it is used.
        response.set_cookie(
            COOKIE,
            login.token,
            max_age=round(accounts.rules.session_longest_s),
            httponly=True,
            secure=guard.is_secure(request),
            samesite="lax",
        )
        return response

    async def log_out(request: Request, _given: Values) -> Response:
        ended = await accounts.logout(identity_of(request))
        return json_response({"ended": int(ended)}, headers=PRIVATE | {"Set-Cookie": FORGET_COOKIE})

    async def show_session(request: Request, _given: Values) -> Response:
        identity = identity_of(request)
        if identity.is_anonymous:
            raise NotLoggedIn
        return json_response(who(identity), headers=PRIVATE)

    async def list_sessions(request: Request, _given: Values) -> Response:
        identity = identity_of(request)
        sessions = await accounts.sessions(identity)
        return json_response([_described(one, identity) for one in sessions], headers=PRIVATE)

    async def end_sessions(request: Request, _given: Values) -> Response:
        return json_response({"ended": await accounts.logout_others(identity_of(request))}, headers=PRIVATE)

    async def change_password(request: Request, given: Values) -> Response:
        body: PasswordBody = given["body"]
        identity, address = identity_of(request), guard.address_of(request)
        try:
            ended = await accounts.change_password(identity, body.old, body.new, address)
        except WrongLogin:  # whoever asks is logged in; 401 would say that they are not
            raise NotAllowed("wrong_password", "the old password is wrong") from None
        return json_response({"ended": ended}, headers=PRIVATE)

    return [
        LOGIN.route(log_in),
        LOGOUT.route(log_out),
        SESSION.route(show_session),
        SESSIONS.route(list_sessions),
        END_SESSIONS.route(end_sessions),
        PASSWORD.route(change_password),
    ]


def who(identity: Identity) -> dict[str, Any]:
    """The public form of an identity."""
    return {
        "session_id": identity.session_id,
        "user": identity.user,
        "expires": identity.expires_ms,
        "scopes": sorted(identity.scopes),
        "symbols": list(identity.rule.patterns),
    }


def _described(session: StoredSession, identity: Identity) -> dict[str, Any]:
    return {
        "session_id": session.id,
        "address": session.address,
        "agent": session.agent,
        "created": session.created_ms,
        "last_activity": session.last_activity_ms,
        "expires": session.expires_ms,
        "current": session.id == identity.session_id,
    }
