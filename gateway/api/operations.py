"""What the HTTP API offers, as data: an operation is declared once, beside its handler, and its route and its
part of the OpenAPI document both derive from the declaration.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol, TypeAlias

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Send
from starlette.types import Scope as RequestScope

from gateway.accounts.identity import Identity, Scope, SymbolRule
from gateway.api.answers import JSON
from gateway.api.params import BadParameter, Param, read_params
from gateway.api.refusals import REFUSALS, NotAllowed, Refusal, refusal_of, refuse

Values: TypeAlias = dict[str, Any]
Handler: TypeAlias = Callable[[Request, Values], Awaitable[Response]]
Schema: TypeAlias = Mapping[str, Any]

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""They change nothing, so that any page may make a browser ask."""
REFUSED: Final = {
    400: "A parameter makes no sense; the answer names it.",
    401: "One has to be logged in.",
    403: "That is not allowed to whoever asks.",
    404: "There is no such thing here.",
    409: "It contradicts what is there.",
    413: "The body is too long.",
    429: "Too many requests; Retry-After says when to come again.",
    431: "The head of the request is too long.",
    503: "It cannot be had now; the answer says why, and Retry-After when to ask again.",
}


TOO_LONG: Final = (413, 431)
"""Refused before anybody has looked whose operation it is: in the form of the API, also below /udf."""


class Limit(StrEnum):
    """Operations that share a limit of how often a client may ask."""

    MARKET = "market"
    HISTORY = "history"
    ACCOUNT = "account"


class Gate(Protocol):
    """Decides who may do what; the app puts it into the scope of every request, as `gate`."""

    async def admit(self, operation: "Operation", request: Request) -> Identity:
        """Return who asks, if they may. Raises one of `REFUSALS`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One kind of answer that is not a refusal."""

    meaning: str
    schema: Schema
    media: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    """Name and meaning."""

    def describe(self) -> dict[str, Any]:
        """Return the OpenAPI Response Object."""
        headers = {
            name: {"description": meaning, "schema": {"type": "string"}}
            for name, meaning in self.headers.items()
        }
        content = {self.media: {"schema": self.schema}}
        return {"description": self.meaning, "content": content} | ({"headers": headers} if headers else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing that can be done: a method of a path."""

    path: str
    name: str
    summary: str
    answers: Mapping[int, Answer]
    method: str = "GET"
    body: type[msgspec.Struct] | None = None
    """What the request has to bring, as JSON; the handler finds it among the values, as `body`."""
    needs: Scope | None = Scope.READ
    """None: anybody may, logged in or not."""
    limit: Limit | None = Limit.MARKET
    details: str = ""
    params: tuple[Param, ...] = ()
    takes_others: bool = False
    """Parameters that are not declared are ignored, not refused."""
    refuses: tuple[int, ...] = ()
    refusal: str = "Refusal"
    """The name of the schema of its refusals."""
    tag: str = "market data"

    def route(
        self, handler: Handler, *, below: str = "", refuse: Callable[[Refusal], Response] = refuse
    ) -> Route:
        """Build the route; `below` is where it is mounted."""

        async def answer(request: Request) -> Response:
            try:
                gate: Gate = request.scope["gate"]
                request.state.identity = identity = await gate.admit(self, request)
                values = await self._read(request)
                _check_symbols(values, identity.rule)
                response = await handler(request, values)
            except REFUSALS as error:
                return refuse(refusal_of(error))
            if self.needs is not None:
                _say_whose(response, identity)
            return response

        return _Route(self.path.removeprefix(below), answer, name=self.name, methods=[self.method])

    async def _read(self, request: Request) -> Values:
        query = request.query_params.multi_items()
        values = read_params(self.params, request.path_params, query, takes_others=self.takes_others)
        if self.body is not None:
            try:
                values["body"] = msgspec.json.decode(await request.body(), type=self.body)
            except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
                raise BadParameter("body", f"is not what is needed: {error}") from None
            except ClientDisconnect:
                raise BadParameter("body", "did not come whole") from None
        return values

    def refusals(self) -> list[int]:
        """List every status with which this may be refused, those of the guard included."""
        found = {*self.refuses, 431}
        if self.needs is not None:
            found |= {401, 403, 429, 503}
        if self.limit is not None:
            found |= {429}
        if self.method not in SAFE_METHODS:
            found |= {403}
        if self.body is not None:
            found |= {400, 413}
        return sorted(found)

    def _refusal_of(self, status: int) -> str:
        return "Refusal" if status in TOO_LONG else self.refusal

    def describe(self) -> dict[str, Any]:
        """Return the OpenAPI Operation Object."""
        refusals = {
            str(status): {
                "description": REFUSED[status],
                "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{self._refusal_of(status)}"}}},
            }
            for status in self.refusals()
            if status not in self.answers
        }
        answers = {str(status): answer.describe() for status, answer in self.answers.items()}
        described: dict[str, Any] = {
            "operationId": self.name,
            "tags": [self.tag],
            "summary": self.summary,
            "parameters": [param.describe() for param in self.params],
            "responses": answers | refusals,
        }
        if self.details:
            described["description"] = self.details
        if self.body is not None:
            schema = {"$ref": f"#/components/schemas/{self.body.__name__}"}
            described["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
        if self.needs is not None:
            # Nothing is enough where the gateway lets anybody read.
            nothing: list[dict[str, list[str]]] = [{}] if self.needs is Scope.READ else []
            described["security"] = [*nothing, {"session": []}, {"key": []}]
        return described


class _Route(Route):
    """A route of one operation. To other methods it says those of all operations at its path."""

    async def handle(self, scope: RequestScope, receive: Receive, send: Send) -> None:
        if scope["method"] in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        beside = (one for one in scope["router"].routes if isinstance(one, _Route) and one.path == self.path)
        allowed = sorted({method for one in (self, *beside) for method in one.methods or ()})
        raise HTTPException(405, headers={"Allow": ", ".join(allowed)})


def identity_of(request: Request) -> Identity:
    """Return who asks; only for handlers of operations."""
    identity: Identity = request.state.identity
    return identity


def _check_symbols(values: Values, rule: SymbolRule) -> None:
    """Refuse symbols that whoever asks may not see: of `symbol`, or of a list with commas in `symbols`."""
    asked = [values.get("symbol"), *(values.get("symbols") or "").split(",")]
    for symbol in asked:
        if symbol and not rule.allows(symbol):
            raise NotAllowed("symbol_not_allowed", f"{symbol} is not open to you")


def _say_whose(response: Response, identity: Identity) -> None:
    """Tell caches who may be given this answer again: whoever shows the same, and of a user's own nobody."""
    response.headers.add_vary_header("Authorization, Cookie, X-Session-Token")
    if identity.is_anonymous:
        return
    stated = [one.strip() for one in response.headers.get("cache-control", "").split(",")]
    kept = [one for one in stated if one not in ("", "public", "private")]
    response.headers["Cache-Control"] = ", ".join(["private", *kept])


# Pieces of schemas

NUMBER: Final[Schema] = {"type": "number"}
WHOLE: Final[Schema] = {"type": "integer"}
TEXT: Final[Schema] = {"type": "string"}
FLAG: Final[Schema] = {"type": "boolean"}

STATE: Final[Schema] = {"type": "object"}
"""Any object: for people, and it grows."""


def record(*optional: str, **fields: Schema) -> Schema:
    """Describe an object; all its fields are always there, but for those named first."""
    return {
        "type": "object",
        "properties": fields,
        "required": [name for name in fields if name not in optional],
        "additionalProperties": False,
    }


def array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def maybe(schema: Schema) -> Schema:
    """Allow null as well."""
    return {"anyOf": [schema, {"type": "null"}]}
