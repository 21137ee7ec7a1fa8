"""The plots of the results: a function each, drawn where there is something to draw.

They are looked at in a README, on a white or a black page: so the ground is white, and what is ours is the
one colour in it.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.result import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Results = Mapping[str, dict[str, Any]]
"""By what they are called: `fanout`, `pipeline_1000` …"""
OURS: Final = "#d9480f"
OTHERS: Final = "#adb5bd"
SHADES: Final = ("#d9480f", "#1c7ed6", "#2f9e44", "#7048e8", "#868e96", "#f08c00")
NAMES: Final = {
    "json_parse": "JSON.parse",
    "kernel_limit": "C send() loop",
    "node_ws": "Node ws",
    "starlette": "Starlette on uvicorn",
    "tickgate_v2_price": "tickgate v2",
    "tickgate_v2_compact": "tickgate v2 compact",
    "uwebsockets": "uWebSockets",
    "websockets_broadcast": "websockets broadcast()",
    "websockets_json": "websockets + json",
}
"""What people call the contenders; the others as the rows do."""
WIDTH_IN: Final = 7.0
DOTS_PER_INCH: Final = 110


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw every plot for which there are figures, and return the files."""
    from matplotlib.figure import Figure  # half a second, which no other command shall wait for

    drawn = []
    for name, (height_in, plot) in PLOTS.items():
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        if not plot(figure.add_subplot(), results):
            continue
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=DOTS_PER_INCH, facecolor="white")
        drawn.append(path)
    return drawn


# One function a plot: whether it had anything to draw


def plot_fanout(axes: "Axes", results: Results) -> bool:
    rows = list(_rows(results, "fanout"))
    params = results.get("fanout", {}).get("params", {})
    title = "Pushing a frame to a WebSocket client: CPU of the server"
    detail = "{clients:,} clients × {rate:g} frames/s, {watchlists} watchlists of {watchlist} symbols"
    return _bars(axes, rows, "cpu_us_per_frame", title, detail, params, "µs a frame")


def plot_ingest(axes: "Axes", results: Results) -> bool:
    rows = [row for row in _rows(results, "ingest") if not row["name"].endswith("_paced")]
    params = results.get("ingest", {}).get("params", {})
    title = "Reading an exchange's trades in a burst: CPU a message"
    detail = "{symbols} symbols; ours checks for gaps, drops doubles, and publishes"
    return _bars(axes, rows, "cpu_us_per_message", title, detail, params, "µs a message")


def plot_codec(axes: "Axes", results: Results) -> bool:
    rows = [row | {"name": _name_in_language(row["name"])} for row in _rows(results, "codec")]
    params = results.get("codec", {}).get("params", {})
    title, detail = "Decoding a batch of prices", "{records} records, CRC checked; the scale is logarithmic"
    drawn = _bars(axes, rows, "us_per_batch", title, detail, params, "µs a batch")
    if drawn:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
    return drawn


def _name_in_language(name: str) -> str:
    for ending, language in (("_node", "Node"), ("_chromium", "Chromium")):
        if name.endswith(ending):
            return f"{_name(name.removesuffix(ending))}, {language}"
    return f"{_name(name)}, {'Node' if name == 'json_parse' else 'Python'}"


def plot_sizes(axes: "Axes", results: Results) -> bool:
    """CPU a frame of each contender, by the number of its clients."""
    measured: dict[str, list[tuple[int, float]]] = {}
    for result in results.values():
        if result["name"] == "fanout" and result["params"]["watchlists"] == 50:
            for row in result["results"]["rows"]:
                if "cpu_us_per_frame" in row:
                    point = (result["params"]["clients"], row["cpu_us_per_frame"])
                    measured.setdefault(row["name"], []).append(point)
    several = {name: sorted(points) for name, points in measured.items() if len(points) > 1}
    for (name, points), shade in zip(several.items(), SHADES, strict=False):
        axes.plot(*zip(*points, strict=True), marker="o", label=_name(name), color=shade)
    _dress(axes, "CPU of the server by the number of clients", "clients", "µs a frame")
    if several:
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
    return bool(several)


def plot_pipeline(axes: "Axes", results: Results) -> bool:
    """How long a price is on its way, by how many there are a second."""
    runs = [one for one in results.values() if one["name"] == "pipeline" and one["params"]["clients"] == 100]
    points = sorted((one["params"]["symbols"] * one["params"]["rate"], _row(one, "tickgate")) for one in runs)
    for quantile, label, shade in zip(QUANTILES, ("p50", "p99", "p99.9"), SHADES, strict=False):
        values = [row[quantile] / 1_000 for _, row in points]
        axes.plot([rate for rate, _ in points], values, marker="o", label=label, color=shade)
    _dress(axes, "From the exchange's send to the client's decode", "messages a second", "ms")
    if points:
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks([rate for rate, _ in points], [f"{rate:,.0f}" for rate, _ in points])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter("{x:g}")
        axes.legend(frameon=False)
    return len(points) > 1


def plot_footprint(axes: "Axes", results: Results) -> bool:
    """What each process holds while it works."""
    samples = results.get("footprint", {}).get("results", {}).get("samples", {})
    for (role, held), shade in zip(samples.get("resident_mb", {}).items(), SHADES, strict=False):
        axes.plot([at_s / 60 for at_s in samples["at_s"]], held, label=role, color=shade)
    _dress(axes, "Memory of each process at work", "minutes", "MB")
    if samples:
        axes.set_ylim(0, 1.4 * axes.get_ylim()[1])  # room for the names
        axes.legend(frameon=False, ncols=3, loc="upper left")
    return bool(samples)


QUANTILES: Final = ("p50_us", "p99_us", "p999_us")
PLOTS: Final[dict[str, tuple[float, Callable[["Axes", Results], bool]]]] = {
    "codec": (4.6, plot_codec),
    "fanout": (3.2, plot_fanout),
    "fanout_sizes": (3.4, plot_sizes),
    "footprint": (3.4, plot_footprint),
    "ingest": (2.2, plot_ingest),
    "pipeline": (3.4, plot_pipeline),
}
"""Name of the file: height in inches, and who draws it."""


# Their parts


def _rows(results: Results, name: str) -> Iterator[Row]:
    yield from results[name]["results"]["rows"] if name in results else []


def _row(result: dict[str, Any], name: str) -> Row:
    return next(row for row in result["results"]["rows"] if row["name"] == name)


def _name(row: str) -> str:
    return NAMES.get(row, row.replace("_", " "))


def _bars(
    axes: "Axes", rows: list[Row], key: str, title: str, detail: str, params: dict[str, Any], unit: str
) -> bool:
    """Draw a bar a row, the shortest on top, ours in its colour, and write each one's figure beside it."""
    rows = sorted((row for row in rows if key in row), key=lambda row: -row[key])
    names = [_name(row["name"]) for row in rows]
    shades = [OURS if row["name"].startswith("tickgate") else OTHERS for row in rows]
    bars = axes.barh(names, [row[key] for row in rows], color=shades)
    axes.bar_label(bars, [f"{row[key]:.3g}" for row in rows], padding=3)
    axes.margins(x=0.12)
    _dress(axes, title, unit, "")
    if rows:
        axes.text(0, 1.02, detail.format(**params), transform=axes.transAxes, fontsize=8, color="#495057")
    return bool(rows)


def _dress(axes: "Axes", title: str, below: str, beside: str) -> None:
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", pad=18)
    axes.set_xlabel(below)
    axes.set_ylabel(beside)
    axes.spines[["top", "right"]].set_visible(False)
