"""Records on disk in the order in which they came: a folder of files, of which the oldest go first.

    00000001.spool  00000002.spool  …   each: MAGIC, then records
    record: u32 length, u32 crc32 of the payload, payload

The rules of this file:
- A record has been appended when it is on disk (fsync). What a crash tore off at the end was never
  appended: it is cut off when the folder is opened, and counted.
- Reading starts at the oldest file. A file goes when its last record was dealt with; after a crash the
  records of the oldest one come once more, so whoever deals with them must not mind.
- One process at a time: the folder is locked.
"""

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from zlib_ng.zlib_ng import crc32

from gateway.store.history import StoreUnusable

MAGIC: Final = b"tgspool1"
RECORD: Final = struct.Struct("<II")
FILES: Final = 8
"""The room is divided into so many files: when it is full, that share of it goes at once."""
READ_BYTES: Final = 1024 * 1024
"""What is read at a time, and so the longest that a record may be."""


class Place(NamedTuple):
    """Where a record ends."""

    number: int
    """Of its file."""
    offset: int


class Segments:
    """The files of one folder. Every call may wait for the disk, and may raise OSError."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.torn = 0
        """Files whose end was cut off when the folder was opened."""
        self.waiting_bytes = 0
        self._folder = folder
        self._max_bytes = max_bytes
        self._sizes: dict[int, int] = {}
        """Bytes of each file, by its number, oldest first."""
        self._newest = 0
        self._read_to = Place(0, 0)
        self._lock_fd = -1

    def __enter__(self) -> Self:
        """Open the folder, or make it. Raises StoreUnusable, and OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            self._lock_fd = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR, 0o644)
            stack.callback(os.close, self._lock_fd)
            try:
                fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreUnusable(f"{self._folder} is in use by another process") from None
            for path in sorted(self._folder.glob("[0-9]*.spool")):
                self._take_over(path)
            stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock_fd)

    @property
    def files(self) -> int:
        return len(self._sizes)

    def has_room(self, payloads: Sequence[bytes]) -> bool:
        return self.waiting_bytes + len(MAGIC) + _size_of(payloads) <= self._max_bytes

    def could_hold(self, payloads: Sequence[bytes]) -> bool:
        """Say whether there would be room if nothing else was there."""
        return len(MAGIC) + _size_of(payloads) <= self._max_bytes

    def append(self, payloads: Sequence[bytes]) -> None:
        """Add records, all of them or none."""
        if self._sizes.get(self._newest, self._max_bytes) >= self._max_bytes // FILES:
            self._newest += 1
        size = self._sizes.get(self._newest, 0)
        data = b"".join(RECORD.pack(len(one), crc32(one)) + one for one in payloads)
        file = os.open(self._path(self._newest), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
        try:
            _write(file, data if size else MAGIC + data)
            os.fsync(file)
        except OSError:
            os.ftruncate(file, size)
            raise
        finally:
            self._resize(self._newest, os.fstat(file).st_size)
            os.close(file)
        if not size:
            sync_folder(self._folder)

    def read(self) -> tuple[list[bytes], Place]:
        """Return the oldest records that were not dealt with, some of one file, and where they end."""
        if not self._sizes:
            return [], self._read_to
        number = min(self._sizes)
        start = self._read_to.offset if self._read_to.number == number else len(MAGIC)
        with self._path(number).open("rb") as file:
            file.seek(start)
            payloads = list(_records(file.read(READ_BYTES)))
        # No record where one must be: the disk has lost it, and with it where the next one begins.
        return payloads, Place(number, start + _size_of(payloads) if payloads else self._sizes[number])

    def dealt_with(self, place: Place) -> None:
        """Forget the records up to a place; its file may be gone already."""
        if place.number in self._sizes:
            self._read_to = place
            if place.offset >= self._sizes[place.number]:
                self._remove(place.number)

    def replace_oldest(self, payloads: Sequence[bytes]) -> None:
        """Drop the oldest file; these records, which come last, are what is left of it."""
        oldest = min(self._sizes)
        if oldest == self._newest:
            self._newest += 1
        if payloads:
            self.append(payloads)
        self._remove(oldest)

    def read_file(self, number: int | None = None) -> list[bytes]:
        """Return all records of a file, or of the oldest one."""
        with self._path(min(self._sizes) if number is None else number).open("rb") as file:
            return list(_records(file.read()[len(MAGIC) :]))

    def __iter__(self) -> Iterator[bytes]:
        """Go through everything that is there."""
        for number in list(self._sizes):
            yield from self.read_file(number)

    def _take_over(self, path: Path) -> None:
        """Count a file in, up to what was torn off."""
        data = path.read_bytes()
        if data[: len(MAGIC)] != MAGIC[: len(data)]:
            raise StoreUnusable(f"{path} is none of our files: move it away")
        records = _size_of(list(_records(data[len(MAGIC) :])))
        whole = len(MAGIC) + records if records else 0
        if whole != len(data):
            self.torn += 1
            os.truncate(path, whole)
        self._newest = int(path.stem)
        self._resize(self._newest, whole)

    def _remove(self, number: int) -> None:
        self._path(number).unlink()
        self._resize(number, 0)
        sync_folder(self._folder)

    def _resize(self, number: int, size: int) -> None:
        self.waiting_bytes += size - self._sizes.pop(number, 0)
        if size:
            self._sizes[number] = size

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08}.spool"


def sync_folder(path: Path) -> None:
    """Have a folder itself on disk: a file that is not in it is not there after a crash."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _size_of(payloads: Sequence[bytes]) -> int:
    return sum(map(len, payloads)) + len(payloads) * RECORD.size


def _records(data: bytes) -> Iterator[bytes]:
    """Yield payloads up to the first that is not whole."""
    offset = 0
    while offset + RECORD.size <= len(data):
        length, expected_crc = RECORD.unpack_from(data, offset)
        offset += RECORD.size
        payload = data[offset : offset + length]
        if len(payload) != length or crc32(payload) != expected_crc:
            return
        yield payload
        offset += length


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
