"""`Dockerfile`, taken apart."""

import json
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Line(NamedTuple):
    instruction: str
    rest: str


def read() -> list[Line]:
    """Read the instructions, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    joined = re.sub(r"\\\n\s*", "", plain)
    return [Line(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def health_check() -> list[str]:
    """Return the command that asks whether the container is well."""
    (rest,) = [line.rest for line in read() if line.instruction == "HEALTHCHECK"]
    command: list[str] = json.loads(rest[rest.index("[") :])
    return command
