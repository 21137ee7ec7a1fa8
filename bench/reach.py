"""What we want of the benchmarks, as ratios where that is possible: a table, and whether it is met.

A want names the results it needs by what they are called in `bench/results/`. Where a result or a contender
is missing the figure is None, and the want neither met nor not met.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Results = Mapping[str, dict[str, Any]]
"""By what they are called: `fanout`, `pipeline_1000` …"""
Figure = Callable[[Results], float | None]


@dataclass(frozen=True, slots=True)
class Want:
    what: str
    figure: Figure
    at_most: float | None = None
    at_least: float | None = None

    @property
    def wanted(self) -> str:
        return f"≤ {self.at_most:g}" if self.at_most is not None else f"≥ {self.at_least:g}"

    def is_met(self, value: float) -> bool:
        if self.at_most is not None and value > self.at_most:
            return False
        return self.at_least is None or value >= self.at_least


@dataclass(frozen=True, slots=True)
class Outcome:
    """A want, and what has come of it."""

    what: str
    wanted: str
    value: float | None
    is_met: bool | None
    """None: not measured."""


def figure(result: str, row: str, key: str) -> Figure:
    """Take one figure of one row."""

    def take(results: Results) -> float | None:
        rows = results[result]["results"]["rows"] if result in results else []
        value = next((one.get(key) for one in rows if one["name"] == row), None)
        return None if value is None else float(value)

    return take


def ratio(above: Figure, below: Figure) -> Figure:
    """Divide one figure by another."""

    def divide(results: Results) -> float | None:
        over, under = above(results), below(results)
        return over / under if over is not None and under else None

    return divide


def against(result: str, contender: str, key: str) -> Figure:
    """Divide our figure by that of a contender in the same result."""
    return ratio(figure(result, "tickgate", key), figure(result, contender, key))


def bytes_per_record(row: str) -> Figure:
    """Divide the size of a batch by its records."""

    def divide(results: Results) -> float | None:
        size = figure("codec", row, "bytes")(results)
        return None if size is None else size / float(results["codec"]["params"]["records"])

    return divide


def decoding(slower: str, faster: str) -> Figure:
    """Say how many times as long one decoder needs for a batch as another."""
    return ratio(figure("codec", slower, "us_per_batch"), figure("codec", faster, "us_per_batch"))


CPU_FRAME: Final = "cpu_us_per_frame"
CPU_MESSAGE: Final = "cpu_us_per_message"

WANTED: Final = (
    Want("v1 decode in Node: JSON.parse / ours", decoding("json_parse", "tickgate_node"), at_least=16),
    Want("v1 decode in Python: json / ours", decoding("json", "tickgate"), at_least=16),
    Want("v1 decode in Python: orjson / ours", decoding("orjson", "tickgate"), at_least=8),
    Want("size of v1: ours / JSON", against("codec", "json", "bytes"), 0.3),
    Want("v2 compact, bytes an update", bytes_per_record("tickgate_v2_compact"), 8),
    Want("decode in Node: compact / v1", decoding("tickgate_v2_compact_node", "tickgate_node"), 1.0),
    Want("fan-out, CPU a frame: ours / C send() loop", against("fanout", "kernel_limit", CPU_FRAME), 1.2),
    Want("fan-out, CPU a frame: ours / uWebSockets", against("fanout", "uwebsockets", CPU_FRAME), 1.0),
    Want("fan-out, CPU a frame: ours / Starlette", against("fanout", "starlette", CPU_FRAME), 0.4),
    Want(
        "fan-out, every client its own watchlist / one for all",  # each by the C loop that ran beside it
        ratio(*(against(one, "kernel_limit", CPU_FRAME) for one in ("fanout_own", "fanout_shared"))),
        1.5,
    ),
    Want("memory of an idle client, KB", figure("fanout_idle", "tickgate", "kb_per_client"), 12),
    Want(
        "clients that connect in a second",
        figure("fanout_idle", "tickgate", "connects_per_s"),
        at_least=2_000,
    ),
    Want("feed worker in a burst, CPU µs a message", figure("ingest", "tickgate", CPU_MESSAGE), 4),
    Want(
        "feed worker in a burst, CPU: cryptofeed / ours",
        ratio(figure("ingest", "cryptofeed", CPU_MESSAGE), figure("ingest", "tickgate", CPU_MESSAGE)),
        at_least=4,
    ),
    Want("pipeline at 1,000/s, p50 µs", figure("pipeline_1000", "tickgate", "p50_us"), 600),
    Want("pipeline at 1,000/s, p99 µs", figure("pipeline_1000", "tickgate", "p99_us"), 1_200),
    Want("pipeline at 1,000/s, p99.9 µs", figure("pipeline_1000", "tickgate", "p999_us"), 3_000),
    Want("pipeline at 5,000/s, p50 µs", figure("pipeline_5000", "tickgate", "p50_us"), 800),
    Want("pipeline at 5,000/s, p99 µs", figure("pipeline_5000", "tickgate", "p99_us"), 2_500),
    Want("pipeline, 1,000 clients, p50 µs", figure("pipeline_clients", "tickgate", "p50_us"), 15_000),
    Want("pipeline, 1,000 clients, p99 µs", figure("pipeline_clients", "tickgate", "p99_us"), 50_000),
    Want("pipeline, 1,000 clients, dropped", figure("pipeline_clients", "tickgate", "lost_clients"), 0),
)


def judge(results: Results) -> Iterator[Outcome]:
    """Say of each want what it has come to."""
    for want in WANTED:
        value = want.figure(results)
        met = None if value is None else want.is_met(value)
        yield Outcome(want.what, want.wanted, None if value is None else round(value, 3), met)
