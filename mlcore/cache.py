"""Decoded photos on the disk: squares of one size, found by their content, made once for all who train and embed.

A folder holds one variant (side and way of preprocessing) per subfolder, as two files that only ever grow: `squares`,
records of equal length, and `index`, one entry per record. The record is written first, its entry after it, so that a
process that dies in between leaves nothing that is read. What was damaged since shows by its checksum.

Any number of processes may use a folder. Writing goes under one lock file; what is in use is marked by a shared lock on
its index, and is never removed. Files are replaced, never cut, for another process may have them in its memory.
"""

import fcntl
import hashlib
import mmap
import os
import shutil
import struct
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlcore.images import Box

LIMIT_BYTES = 16 * 2**30
FREE_BYTES = 2**30  # of the disk that are left to others
LOCK_SECONDS = 20  # another process that holds the lock for longer is frozen
ENTRY = struct.Struct("<32sQII")  # key, record number, crc32 of the record, crc32 of the three before
HEADER_BYTES = 64
LOCK, INDEX, SQUARES = "lock", "index", "squares"

Say = Callable[[str], None]
Squares = NDArray[np.uint8]  # (side, side, 3), one or a batch of them


def default_cache_dir() -> Path:
    """Where a command line keeps decoded photos: below XDG_CACHE_HOME, else `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kindred" / "photos"


def content_key(sha256: str, box: Box | None) -> bytes | None:
    """What a photo, or a box in it, is found by: 32 bytes. None for a checksum that is none: it is not kept then."""
    if len(sha256) != 64:
        return None
    return hashlib.sha256(f"{sha256} {box}".encode()).digest()


class PhotoCache:
    """Squares of one variant. For one thread at a time.

    It never fails: where the disk is full, slow or not ours, it says so once and keeps nothing more.
    """

    def __init__(
        self, folder: Path, variant: str, side: int, say: Say = lambda text: None, limit_bytes: int = LIMIT_BYTES
    ) -> None:
        self.root, self.side, self.say, self.limit_bytes = folder, side, say, limit_bytes
        digest = hashlib.sha256(variant.encode()).digest()
        self.header = b"Kindred squares 1\n".ljust(HEADER_BYTES - 32, b"\0") + digest
        self.folder = folder / f"{side}-{digest.hex()[:12]}"
        self.record_bytes = side * side * 3
        self.writable = True
        self.index_file = self.squares_file = -1
        self.forget()
        try:
            with locked(self.root):
                self.open()
        except OSError as error:
            self.close()
            self.give_up(error)

    def forget(self) -> None:
        """As before anything was opened or read."""
        for file in (self.index_file, self.squares_file):
            if file >= 0:
                os.close(file)
        self.index_file = self.squares_file = -1
        self.found: dict[bytes, tuple[int, int]] = {}  # key -> record number, crc32
        self.checked: set[bytes] = set()  # keys whose records were found sound, or were written here
        self.entries_read = 0
        self.records: NDArray[np.uint8] = np.zeros((0, self.side, self.side, 3), dtype=np.uint8)

    def open(self) -> None:
        """Opens both files, made anew where they are not what they should be. Under the lock."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.index_file = os.open(self.folder / INDEX, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(self.index_file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        found = os.pread(self.index_file, HEADER_BYTES, 0)
        if found and found != self.header:
            self.forget()
            remove(self.folder)
            return self.open()
        if not found:
            (self.folder / SQUARES).unlink(missing_ok=True)  # of an index that is gone; others may still read it
            write(self.index_file, self.header, 0)
        self.squares_file = os.open(self.folder / SQUARES, os.O_RDWR | os.O_CREAT, 0o644)
        os.utime(self.folder / INDEX)  # the last use, by which the oldest variant goes first
        self.read_entries()
        return None

    def close(self) -> None:
        self.writable = False
        self.forget()

    def give_up(self, error: OSError) -> None:
        self.writable = False
        self.say(f"Decoded photos are not kept in {self.root} ({error}); they are decoded anew each time.")

    def entries(self) -> int:
        """How many entries the index has. One that is cut short does not count, and is written over."""
        return max(0, os.fstat(self.index_file).st_size - HEADER_BYTES) // ENTRY.size

    def read_entries(self) -> None:
        """Learns of what other processes have added. A later entry of a key takes the place of an earlier one."""
        count = self.entries() - self.entries_read
        if count <= 0:
            return
        data = os.pread(self.index_file, count * ENTRY.size, HEADER_BYTES + self.entries_read * ENTRY.size)
        for at in range(0, len(data) // ENTRY.size * ENTRY.size, ENTRY.size):
            key, slot, record_sum, entry_sum = ENTRY.unpack_from(data, at)
            if zlib.crc32(data[at : at + ENTRY.size - 4]) == entry_sum:
                self.found[key] = (slot, record_sum)
        self.entries_read += len(data) // ENTRY.size

    def fill(self, keys: Sequence[bytes | None], squares: Squares) -> list[int]:
        """Copies what is kept to its places in `squares` `(B, side, side, 3)`; returns the places of what is not."""
        if self.index_file < 0:
            return list(range(len(keys)))
        try:
            if any(key is not None and key not in self.found for key in keys):
                self.read_entries()
            self.map_records()
        except OSError as error:
            self.close()
            self.give_up(error)
        return [place for place, key in enumerate(keys) if key is None or not self.copy(key, squares[place])]

    def copy(self, key: bytes, square: NDArray[np.uint8]) -> bool:
        """Copies one record. False where there is none, or none that is sound: that one is forgotten."""
        slot, record_sum = self.found.get(key, (-1, 0))
        if 0 <= slot < len(self.records):
            square[...] = self.records[slot]
            if key in self.checked or zlib.crc32(square.data) == record_sum:
                self.checked.add(key)
                return True
        self.found.pop(key, None)
        return False

    def map_records(self) -> None:
        """Maps the file as long as it is now: reading past the end of a mapped file would kill the process."""
        count = os.fstat(self.squares_file).st_size // self.record_bytes
        if count != len(self.records):
            length = count * self.record_bytes
            mapped = mmap.mmap(self.squares_file, length, access=mmap.ACCESS_READ) if length else b""
            self.records = np.frombuffer(mapped, dtype=np.uint8).reshape(count, self.side, self.side, 3)

    def put(self, keys: Sequence[bytes], squares: Sequence[Squares]) -> None:
        """Keeps the squares that are not there yet, as far as there is room."""
        if not self.writable:
            return
        try:
            with locked(self.root):
                self.read_entries()
                fresh = {key: place for place, key in enumerate(keys) if key not in self.found}
                room = self.room() // self.record_bytes
                self.append({key: np.ascontiguousarray(squares[at]) for key, at in list(fresh.items())[: max(0, room)]})
        except OSError as error:
            self.give_up(error)

    def append(self, fresh: dict[bytes, Squares]) -> None:
        first = self.entries()
        entries = []
        for slot, (key, square) in enumerate(fresh.items(), start=first):
            write(self.squares_file, square.data.cast("B"), slot * self.record_bytes)
            start = ENTRY.pack(key, slot, zlib.crc32(square.data), 0)[:-4]
            entries.append(start + struct.pack("<I", zlib.crc32(start)))
        write(self.index_file, b"".join(entries), HEADER_BYTES + first * ENTRY.size)
        self.read_entries()
        self.checked.update(fresh)

    def room(self) -> int:
        """Bytes that may still be written, by the limit and by the disk."""
        used = sum(size_of(folder) for folder in self.root.iterdir() if folder.is_dir())
        return min(self.limit_bytes - used, shutil.disk_usage(self.root).free - FREE_BYTES)

    def reserve(self, keys: Iterable[bytes | None]) -> None:
        """Makes room for these photos: what was not used for longest goes first, then what others left in here.

        Where they do not all fit, the first ones to come are kept, and a word says how many.
        """
        if not self.writable:
            return
        wanted = {key for key in keys if key is not None}
        try:
            with locked(self.root):
                self.read_entries()
                self.evict_others(self.needed(wanted))
                if self.needed(wanted) > self.room() and len(wanted) < len(self.found.keys() | wanted):
                    self.begin_anew()
                lacking = self.needed(wanted) - self.room()
        except OSError as error:
            self.give_up(error)
            return
        if lacking > 0:
            fits = len(wanted) - -(-lacking // self.record_bytes)
            self.say(
                f"The cache of decoded photos has room for {max(0, fits)} of {len(wanted)}; the others are decoded "
                f"each time. Give it more than {self.limit_bytes / 2**30:.1f} GiB, or free space in {self.root}."
            )

    def needed(self, wanted: set[bytes]) -> int:
        return len(wanted - self.found.keys()) * self.record_bytes

    def evict_others(self, bytes_needed: int) -> None:
        """Removes other variants, the longest unused first, until there is room. Under the lock."""
        others = [path.parent for path in self.root.glob(f"*/{INDEX}") if path.parent != self.folder]
        for folder in sorted(others, key=lambda folder: (folder / INDEX).stat().st_mtime):
            if self.room() >= bytes_needed:
                return
            file = os.open(folder / INDEX, os.O_RDWR)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove(folder)
            except BlockingIOError:
                continue  # in use
            finally:
                os.close(file)

    def begin_anew(self) -> None:
        """Empties this variant if nobody else uses it. Under the lock."""
        try:
            fcntl.flock(self.index_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(self.index_file, fcntl.LOCK_SH)  # the failed change may have cost us our own
            return
        self.forget()
        remove(self.folder)
        self.open()


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Inside, no other process writes to the cache below `root`. Raises TimeoutError, an OSError."""
    root.mkdir(parents=True, exist_ok=True)
    file = os.open(root / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() > deadline:
                raise TimeoutError(f"another process has held {root / LOCK} for {LOCK_SECONDS} seconds")
            time.sleep(0.005)
        yield
    finally:
        os.close(file)


def write(file: int, data: bytes | memoryview, offset: int) -> None:
    """All of it, or an OSError such as that of a full disk; writing to mapped memory would kill the process instead."""
    view = memoryview(data)
    while view:
        done = os.pwrite(file, view, offset)
        view, offset = view[done:], offset + done


def size_of(folder: Path) -> int:
    sizes = []
    for name in (INDEX, SQUARES):
        with suppress(FileNotFoundError):
            sizes.append((folder / name).stat().st_size)
    return sum(sizes)


def remove(folder: Path) -> None:
    """Removes a variant; whoever has its files open keeps them."""
    for name in (INDEX, SQUARES):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
