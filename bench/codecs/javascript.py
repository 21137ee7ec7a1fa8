"""The codecs of Node and Chromium: `clients/js/bench`, on the very bytes that Python decodes.

The sample goes over in a file, the figures come back on stdout. Where there is no Node, no Chromium or no
`node_modules`, the rows say so.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.codecs.python import Frames
from bench.codecs.sample import Sample
from bench.result import Row, missing

CLIENT: Final = Path(__file__).parents[2] / "clients" / "js"
CHROMIUMS: Final = ("chromium", "chromium-browser", "google-chrome")
NAMES: Final = ("tickgate", "tickgate_v2_price", "tickgate_v2_compact", "json_parse")
TIMEOUT_S: Final = 120.0


def measure(sample: Sample, frames: Frames, seconds: float) -> list[Row]:
    """Measure for about so long, half of it in each."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return _all_missing("there is no Node")
    if not (CLIENT / "node_modules").is_dir():
        return _all_missing("`npm install` was not run in clients/js")
    with tempfile.TemporaryDirectory(prefix="tickgate-bench-") as folder:
        file = Path(folder) / "sample.json"
        texts = [text.decode() for text in sample.texts]
        file.write_bytes(msgspec.json.encode({"frames": frames, "texts": texts}))  # bytes become base64
        chromium = next(filter(None, map(shutil.which, CHROMIUMS)), "none")
        argv = [npm, "run", "--silent", "bench", "--", "--sample", str(file)]
        argv += ["--seconds", str(seconds), "--chromium", chromium]
        try:
            said = json.loads(_output_of(argv))
        except Failed as error:
            return _all_missing(str(error))
    return [*_rows(said["node"], "_node", ""), *_rows(said["chromium"], "_chromium", "_chromium")]


class Failed(Exception):
    """It did not come to its end."""


def _output_of(argv: list[str]) -> str:
    """Run npm, which starts Node, which starts Chromium: a group of their own, so that none stays behind."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        argv, cwd=CLIENT, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as process:
        try:
            output, errors = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"not done after {TIMEOUT_S:g} s") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode != 0:
        raise Failed(f"it failed: {_why(errors or output)}")
    return output


def _why(stderr: str) -> str:
    lines = stderr.strip().splitlines() or ["it said nothing"]
    return next((line for line in lines if "Error" in line), lines[-1]).strip()


def _rows(said: dict[str, Any], suffix: str, json_suffix: str) -> Iterator[Row]:
    if "missing" in said:
        yield from (missing(_named(name, suffix, json_suffix), said["missing"]) for name in NAMES)
        return
    for row in said["measured"]:
        figures = {key: round(value, 3) for key, value in row.items() if key != "name"}
        yield {"name": _named(row["name"], suffix, json_suffix), **figures, "version": said["version"]}


def _all_missing(reason: str) -> list[Row]:
    nowhere = {"missing": reason}
    return [*_rows(nowhere, "_node", ""), *_rows(nowhere, "_chromium", "_chromium")]


def _named(name: str, suffix: str, json_suffix: str) -> str:
    """Node's JSON.parse has the plain name."""
    return name + (json_suffix if name == "json_parse" else suffix)
