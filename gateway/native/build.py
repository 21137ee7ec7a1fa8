"""Compile the extension beside its source: `python -m gateway.native.build`.

Says in one line what it did, or why not, and never fails whoever calls it: all works without the extension.
"""

import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
SOURCE: Final = HERE / "send.c"
FLAGS: Final = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-fPIC", "-shared")
TIMEOUT_S: Final = 120


def built_file(folder: Path = HERE) -> Path:
    """Say where the extension for this Python is, or would be."""
    return folder / f"_send{sysconfig.get_config_var('EXT_SUFFIX')}"


def build(folder: Path = HERE, *, compiler: str | None = None) -> str:
    """Compile into a folder what is missing or older than its source; return what was done."""
    target = built_file(folder)
    if target.exists() and target.stat().st_mtime >= SOURCE.stat().st_mtime:
        return f"{target.name} is up to date"
    found = next((one for one in _compilers(compiler) if shutil.which(one)), None)
    if found is None:
        return "there is no C compiler: frames are sent from Python"
    return _compile(found, target)


def _compilers(wanted: str | None) -> list[str]:
    if wanted is not None:
        return [wanted]
    own = shlex.split(sysconfig.get_config_var("CC") or "")[:1]
    return [*own, "cc", "gcc", "clang"]


def _compile(compiler: str, target: Path) -> str:
    made = target.with_suffix(".new")  # so that a running program keeps the file that it has mapped
    include = f"-I{sysconfig.get_path('include')}"
    command = [compiler, *FLAGS, include, str(SOURCE), "-o", str(made)]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
        if ran.returncode == 0:
            made.replace(target)
            return f"built {target.name} with {compiler}"
        why = next((line for line in ran.stderr.splitlines() if "error" in line), f"exit {ran.returncode}")
    except (OSError, subprocess.TimeoutExpired) as error:
        why = str(error)
    finally:
        made.unlink(missing_ok=True)
    return f"{target.name} could not be built, frames are sent from Python: {why}"


if __name__ == "__main__":
    sys.stdout.write(build() + "\n")
