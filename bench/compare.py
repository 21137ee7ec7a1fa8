"""What has changed since the results that were committed: `bench/results/NAME.json`.

Two results are compared if they are of the same bench with the same parameters. Of each row that both have,
the figures are compared of which more is worse (times, memory, bytes) or better (so many a second); what is
neither, like how much was asked, is not. From 15 % on a change is marked: two runs on one idle machine differ
by less, most of the time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

RESULTS: Final = Path(__file__).parent / "results"
MARKED: Final = 0.15
COSTS: Final = (
    "_us", "_ms", "_s", "_kb", "_mb", "_share", "bytes",
    "_per_bar", "_per_batch", "_per_client", "_per_frame", "_per_message", "_per_trade", "_per_update",
)  # fmt: skip
"""How the names of figures end of which more is worse."""
SAME_MACHINE: Final = ("cpu", "cores", "system", "python")


@dataclass(frozen=True, slots=True)
class Change:
    """One figure, then and now."""

    row: str
    figure: str
    before: float
    now: float

    @property
    def share(self) -> float:
        """By how much it has grown: 0.1 is 10 % more."""
        return self.now / self.before - 1

    @property
    def mark(self) -> str:
        """`better` or `worse`, or nothing if it is as it was."""
        if abs(self.share) <= MARKED:
            return ""
        return "better" if (self.share < 0) == is_cost(self.figure) else "worse"


@dataclass(frozen=True, slots=True)
class Comparison:
    """All figures of a result, beside those of an older one."""

    machine: tuple[str, ...]
    """What is different about the machine and its programs, in words."""
    is_same_machine: bool
    changes: tuple[Change, ...]

    def to_json(self) -> dict[str, Any]:
        changes = [
            {
                "name": one.row, "figure": one.figure, "before": one.before, "now": one.now,
                "change_percent": round(one.share * 100, 1), "mark": one.mark,
            }
            for one in self.changes
        ]  # fmt: skip
        return {"machine": self.machine, "is_same_machine": self.is_same_machine, "changes": changes}


def find_before(result: dict[str, Any], folder: Path = RESULTS) -> dict[str, Any] | None:
    """Return the result in a folder that is of the same bench with the same parameters."""
    wanted = (result["name"], msgspec.json.decode(msgspec.json.encode(result["params"])))
    for path in sorted(folder.glob("*.json")):
        before: dict[str, Any] = msgspec.json.decode(path.read_bytes())
        if (before["name"], before["params"]) == wanted:
            return before
    return None


def compare(before: dict[str, Any], now: dict[str, Any]) -> Comparison:
    then, here = before["machine"], now["machine"]
    hardware = list(_differences(*({key: one.get(key) for key in SAME_MACHINE} for one in (then, here))))
    versions = list(_differences(then.get("versions", {}), here.get("versions", {})))
    return Comparison((*hardware, *versions), not hardware, tuple(_changes(before, now)))


def _differences(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            yield f"{key} {before.get(key, 'none')} -> {now.get(key, 'none')}"


def _changes(before: dict[str, Any], now: dict[str, Any]) -> Iterator[Change]:
    older = {row["name"]: row for row in before["results"]["rows"]}
    for row in now["results"]["rows"]:
        for figure, value in row.items():
            then = older.get(row["name"], {}).get(figure)
            if _is_number(value) and _is_number(then) and then and (is_cost(figure) or is_rate(figure)):
                yield Change(row["name"], figure, then, value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_rate(figure: str) -> bool:
    return figure.endswith("_per_s")


def is_cost(figure: str) -> bool:
    return not is_rate(figure) and (figure.endswith(COSTS) or figure == "kb")


# For people


def format_comparison(comparison: Comparison, only_marked: bool = False) -> str:
    """Lay it out for a terminal."""
    shown = [one for one in comparison.changes if one.mark or not only_marked]
    lines = []
    if not comparison.is_same_machine:
        lines.append("The committed result is of another machine: only ratios can be compared.")
    if comparison.machine:
        lines.append("since then: " + ", ".join(comparison.machine))
    lines += [
        f"{one.row:<28}{one.figure:<32}{one.before:>14,.2f}{one.now:>14,.2f}{one.share:>+9.0%}  {one.mark}"
        for one in shown
    ]
    same = len(comparison.changes) - len(shown)
    if same:
        lines.append(f"{same} figures are as they were, within {MARKED:.0%}.")
    return "\n".join(lines)
