"""What our processes leave in the data folder for each other to find.

recorder.pid   the recorder that has its store open: the supervisor waits for it
nats.url       where the bus of the supervisor is that runs on this folder
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MARK: Final = "recorder.pid"
BUS: Final = "nats.url"


@contextlib.contextmanager
def told_recorder(folder: Path) -> Iterator[None]:
    """Say that we have the store open."""
    folder.mkdir(parents=True, exist_ok=True)
    with _told(folder / MARK, str(os.getpid())):
        yield


def is_recorder(folder: Path, pid: int) -> bool:
    """Say whether this process has the store open."""
    return _read(folder / MARK) == str(pid)


@contextlib.contextmanager
def told_bus(folder: Path, url: str) -> Iterator[None]:
    """Say where the bus is."""
    with _told(folder / BUS, url):
        yield


def bus_of(folder: Path) -> str:
    """Return where the bus is; nothing if nobody runs on this folder."""
    return _read(folder / BUS)


@contextlib.contextmanager
def _told(path: Path, text: str) -> Iterator[None]:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)  # an address may have a password in it
    path.write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
