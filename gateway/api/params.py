"""What requests may say: declared once; the reading and the OpenAPI document both derive from that.

Reading is strict: a parameter that is not declared, given twice (also once under each of two names), missing
though needed, or not of its kind, is refused and named.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

_WHOLE: Final = re.compile(r"-?[0-9]{1,16}", re.ASCII)
_SECONDS: Final = re.compile(r"(-?[0-9]{1,16})(?:\.[0-9]{0,9})?", re.ASCII)


class BadParameter(Exception):
    """A parameter that makes no sense."""

    status = 400

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        super().__init__(f"{name} {reason}")


class Kind(Protocol):
    """What values a parameter has."""

    def read(self, text: str) -> Any:
        """Return the value. Raises ValueError, whose message goes on from the parameter's name."""

    def schema(self) -> dict[str, Any]:
        """Describe the values as a JSON Schema."""


@dataclass(frozen=True, slots=True)
class Text:
    longest: int = 64

    def read(self, text: str) -> str:
        if len(text) > self.longest:
            raise ValueError(f"is at most {self.longest} characters long")
        return text

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": self.longest}


@dataclass(frozen=True, slots=True)
class Whole:
    lowest: int
    highest: int

    def read(self, text: str) -> int:
        if not (_WHOLE.fullmatch(text) and self.lowest <= int(text) <= self.highest):
            raise ValueError(f"is a whole number from {self.lowest} to {self.highest}, not {text!r}")
        return int(text)

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.lowest, "maximum": self.highest}


@dataclass(frozen=True, slots=True)
class Seconds:
    """Seconds since 1970; what stands behind a point is dropped. Beyond the year 5138 they would be
    milliseconds by mistake."""

    farthest: int = 10**11

    def read(self, text: str) -> int:
        match = _SECONDS.fullmatch(text)
        if match is None or abs(int(match[1])) > self.farthest:
            raise ValueError(f"is a time in seconds since 1970, up to {self.farthest}, not {text!r}")
        return int(match[1])

    def schema(self) -> dict[str, Any]:
        return {"type": "number", "minimum": -self.farthest, "maximum": self.farthest}


@dataclass(frozen=True, slots=True)
class Milliseconds:
    """Milliseconds since 1970. Before 1973, 0 aside, they would be seconds by mistake."""

    farthest: int = 10**14

    def read(self, text: str) -> int:
        if not (_WHOLE.fullmatch(text) and (int(text) == 0 or 10**11 <= int(text) <= self.farthest)):
            raise ValueError(f"is a time in milliseconds since 1970: 0, or from {10**11} on, not {text!r}")
        return int(text)

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": 0, "maximum": self.farthest}


@dataclass(frozen=True, slots=True)
class Choice:
    values: Mapping[str, Any]

    def read(self, text: str) -> Any:
        if text not in self.values:
            raise ValueError(f"is one of {', '.join(self.values)}, not {text!r}")
        return self.values[text]

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.values)}


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of a path or of its query."""

    name: str
    kind: Kind
    meaning: str
    needed: bool = False
    default: Any = None
    aliases: tuple[str, ...] = ()
    in_path: bool = False
    example: Any = None

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)

    def read(self, name: str, text: str) -> Any:
        """Return the value of a text given under one of its names. Raises BadParameter."""
        try:
            return self.kind.read(text)
        except ValueError as error:
            raise BadParameter(name, str(error)) from None

    def describe(self) -> dict[str, Any]:
        """Return the OpenAPI Parameter Object."""
        schema = self.kind.schema()
        if self.default is not None:
            schema["default"] = self.default
        also = f" Also called {', '.join(f'`{alias}`' for alias in self.aliases)}." if self.aliases else ""
        example = {} if self.example is None else {"example": self.example}
        return {
            "name": self.name,
            "in": "path" if self.in_path else "query",
            "required": self.needed or self.in_path,
            "description": self.meaning + also,
            "schema": schema,
            **example,
        }


def read_params(
    params: Sequence[Param], path: Mapping[str, str], query: Sequence[tuple[str, str]], *, takes_others: bool
) -> dict[str, Any]:
    """Return the value of every parameter by its name: the default of those that are not given.

    Raises BadParameter for the first that is wrong.
    """
    values = {param.name: param.default for param in params}
    by_name = {name: param for param in params if not param.in_path for name in param.names}
    seen: set[str] = set()
    for param in params:
        if param.in_path:
            values[param.name] = param.read(param.name, path[param.name])
    for name, text in query:
        if name not in by_name:
            if takes_others:
                continue
            raise BadParameter(name, "is not a parameter of this path")
        param = by_name[name]
        if param.name in seen:
            raise BadParameter(name, "is given twice")
        seen.add(param.name)
        values[param.name] = param.read(name, text)
    for param in params:
        if param.needed and param.name not in seen:
            raise BadParameter(param.name, "is needed")
    return values
