"""The programs in C, which are compiled where and when they are needed."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from gateway.processes.lifetime import Failure

HERE: Final = Path(__file__).parent
READER: Final = HERE / "reader.c"
CLIENTS: Final = HERE.parent / "clients.c"
KERNEL_LIMIT: Final = HERE / "peers" / "kernel_limit.c"


class CannotCompile(Failure):
    """There is no compiler, or it refuses."""


def compile_program(source: Path, folder: Path) -> Path:
    """Compile a C file into a folder and return the program. Raises CannotCompile."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise CannotCompile("the clients of this benchmark are in C: install gcc and libc6-dev, or clang")
    program = folder / source.stem
    made = subprocess.run([compiler, "-O2", "-o", program, source], capture_output=True, text=True)
    if made.returncode:
        raise CannotCompile(f"{compiler} does not compile {source.name}: {made.stderr.strip()}")
    return program
