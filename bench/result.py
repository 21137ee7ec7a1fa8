"""What every benchmark hands out, and how a terminal shows it.

    {"name": "fanout", "params": {…}, "machine": {…}, "results": {"rows": [{"name": "tickgate", …}, …]}}

A row is one contender, or one way of asking the same. Its `name` is unique within a result, every other value
is a figure whose key says the unit (`cpu_us_per_frame`, `p99_us`, `bytes`, `kb_per_client`). A contender that
is not installed has a row all the same, with `missing` and the reason, and no figure.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec

from bench.machine import describe_machine

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = dict[str, Any]


def result(name: str, params: "DataclassInstance", rows: Sequence[Row], **others: Any) -> dict[str, Any]:
    """Put a result together; `others` stand beside the rows."""
    return {
        "name": name,
        "params": asdict(params),
        "machine": describe_machine(),
        "results": {"rows": list(rows), **others},
    }


def encode(result: dict[str, Any]) -> bytes:
    """Write a result as it is kept in a file, so that a change in it can be read."""
    return msgspec.json.format(msgspec.json.encode(result)) + b"\n"


def missing(name: str, reason: str) -> Row:
    """A contender that could not be measured here."""
    return {"name": name, "missing": reason}
