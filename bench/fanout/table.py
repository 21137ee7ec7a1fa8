"""The result for a terminal: a line a contender."""

from typing import Any, Final

from bench.result import Row

COLUMNS: Final = (
    ("CPU µs/frame", "cpu_us_per_frame", ".2f"),
    ("frames/s", "frames_per_s", ",.0f"),
    ("p50 µs", "p50_us", ",.0f"),
    ("p99 µs", "p99_us", ",.0f"),
    ("KB/client", "kb_per_client", ",.1f"),
    ("connects/s", "connects_per_s", ",.0f"),
)
"""What it is called, its key, how it is written."""
NAME_WIDTH: Final = 22
WIDTH: Final = 13
EXPLANATION: Final = (
    "The others send payloads that are ready. tickgate's figure is all that a gateway does with prices:",
    "batches from the bus, decoding, tables, a frame for each watchlist, sending.",
)


def format_table(result: dict[str, Any]) -> str:
    """Lay the result out for a terminal."""
    params, rows, ratios = result["params"], result["results"]["rows"], result["results"]["ratios"]
    pace = "nothing sent" if params["idle"] else f"{params['rate']:g} frames/s each, {params['seconds']:g} s"
    columns = [column for column in COLUMNS if any(column[1] in row for row in rows)]
    titles = [title for title, _, _ in columns] + (["tickgate is"] if ratios else [])
    return "\n".join(
        [
            f"fan-out:  {params['clients']:,} clients, {_watched(params)} of {params['watchlist']} of"
            f" {params['symbols']} symbols, {pace}",
            f"machine:  {result['machine']['cpu']}, {result['machine']['cores']} cores",
            "",
            " " * NAME_WIDTH + "".join(f"{title:>{WIDTH}}" for title in titles),
            *[_line(row, columns, ratios.get(row["name"])) for row in rows],
            *_notes(rows),
        ]
    )


def _watched(params: dict[str, Any]) -> str:
    match params["watchlists"]:
        case 0:
            return "every client its own watchlist"
        case 1:
            return "one watchlist for all,"
        case lists:
            return f"{lists} watchlists"


def _line(row: Row, columns: list[tuple[str, str, str]], ratio: float | None) -> str:
    name = f"{row['name']:<{NAME_WIDTH}}"
    if "missing" in row:
        return f"{name} missing: {row['missing']}"
    cells = [format(row[key], form) if key in row else "–" for _, key, form in columns]
    cells.append(f"{ratio:.2f} ×" if ratio else "")
    warning = "  (its clients had no core to spare)" if row.get("load_limited") else ""
    return (name + "".join(f"{cell:>{WIDTH}}" for cell in cells)).rstrip() + warning


def _notes(rows: list[Row]) -> list[str]:
    ours = next((row for row in rows if "nats_cpu_us_per_frame" in row), None)
    if ours is None:
        return []
    beside = (
        f"Beside it, a frame: nats-server {ours['nats_cpu_us_per_frame']:.2f} µs,"
        f" publisher {ours['publisher_cpu_us_per_frame']:.2f} µs."
    )
    return ["", *EXPLANATION, beside]
