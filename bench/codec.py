"""What it costs to decode and encode a batch of prices: our frames, and JSON of the same fields.

The batches and the JSON: `codecs/sample.py`. What exactly is timed: the rules of `codecs/python.py`, and of
`clients/js/bench/codec.ts` for Node and Chromium, which decode the very bytes that Python does. All of a
language take turns in short rounds; a figure is the median of its rounds.

`ratios` are how many times as long the others need, in the same language, as the v1 frame does; `…_columns`
are those to columns on both sides. `bytes` is the size of the v1 frame divided by that of the JSON text, and
`compact_to_v1_node` the time for a COMPACT frame divided by that for v1 in Node.
"""

from dataclasses import dataclass
from typing import Any, Final

from bench.codecs import javascript, python
from bench.codecs.sample import draw_sample
from bench.result import Row, result

JSON_IN_PYTHON: Final = ("json", "orjson", "msgspec")


@dataclass(frozen=True, slots=True)
class Params:
    """How large, and for how long."""

    records: int = 50
    seconds: float = 9.0
    """A third of it for each language."""


def run(params: Params) -> dict[str, Any]:
    """Measure once and return `{"name", "params", "machine", "results"}`."""
    sample = draw_sample(params.records)
    frames = python.encode_sample(sample)
    rows = python.measure(sample, frames, params.seconds / 3)
    bytes_of = {row["name"]: row["bytes"] for row in rows}
    for row in javascript.measure(sample, frames, params.seconds * 2 / 3):
        like = row["name"].removesuffix("_node").removesuffix("_chromium")
        rows.append(row if "missing" in row else row | {"bytes": bytes_of.get(like, bytes_of["json"])})
    return result("codec", params, rows, ratios=_ratios(rows))


def _ratios(rows: list[Row]) -> dict[str, float]:
    row = {one["name"]: one for one in rows if "missing" not in one}
    pairs = {name: (name, "tickgate", "us_per_batch") for name in JSON_IN_PYTHON}
    pairs |= {f"{name}_columns": (name, "tickgate", "columns_us_per_batch") for name in JSON_IN_PYTHON}
    pairs |= {
        "bytes": ("tickgate", "json", "bytes"),
        "compact_bytes": ("tickgate_v2_compact", "json", "bytes"),
        "json_parse": ("json_parse", "tickgate_node", "us_per_batch"),
        "json_parse_to_v2_price": ("json_parse", "tickgate_v2_price_node", "us_per_batch"),
        "json_parse_to_v2_compact": ("json_parse", "tickgate_v2_compact_node", "us_per_batch"),
        "compact_to_v1_node": ("tickgate_v2_compact_node", "tickgate_node", "us_per_batch"),
        "json_parse_chromium": ("json_parse_chromium", "tickgate_chromium", "us_per_batch"),
        "json_parse_chromium_to_v2_price": (
            "json_parse_chromium", "tickgate_v2_price_chromium", "us_per_batch",
        ),
        "json_parse_chromium_to_v2_compact": (
            "json_parse_chromium", "tickgate_v2_compact_chromium", "us_per_batch",
        ),
    }  # fmt: skip
    return {
        name: round(row[above][key] / row[below][key], 3)
        for name, (above, below, key) in pairs.items()
        if above in row and below in row
    }


def format_table(result: dict[str, Any]) -> str:
    """Lay a result out for a terminal."""
    heads = ("decode us", "columns us", "encode us", "array us")
    lines = [f"{'':<30}{'bytes':>8}" + "".join(f"{head:>12}" for head in heads)]
    for row in result["results"]["rows"]:
        if "missing" in row:
            lines.append(f"{row['name']:<30}  missing: {row['missing']}")
            continue
        times = [row.get(f"{key}us_per_batch") for key in ("", "columns_", "encode_", "encode_array_")]
        shown = "".join(f"{'' if us is None else format(us, '.2f'):>12}" for us in times)
        lines.append(f"{row['name']:<30}{row['bytes']:>8}{shown}")
    lines += ["", "ratios"]
    lines += [f"  {name:<34}{ratio:>8.3g}" for name, ratio in result["results"]["ratios"].items()]
    return "\n".join(lines)
