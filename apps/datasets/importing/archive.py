"""A zip from a stranger, read safely: names, links, nesting, sizes and counts are judged before anything is unpacked.

Nothing is ever extracted to a folder: entries are read one by one into memory, so no name can lead anywhere.
"""

import copy
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO

from apps.core.errors import BadInput
from mlcore.images import ImageProblem

MAX_ENTRIES = 1_000_000
MAX_ENTRY_BYTES = 512 * 2**20
MAX_TOTAL_BYTES = 200 * 2**30  # unpacked
# Deflate reaches 1032:1 at most; photos hardly shrink at all, uncompressed drawings by 100 or so.
MAX_RATIO = 200
RATIO_MATTERS_FROM = 2**20  # bytes unpacked; small flat images compress absurdly well and harm nobody
# What can be unpacked no further than asked for; of the others, zipfile unpacks each block whole.
BOUNDED = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "xz", 98: "PPMd"}
SPARE_BYTES = 2**16  # more than zipfile unpacks at least
NESTED = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar", ".zst", ".jar", ".cab")
IGNORED = {"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin"}
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, struct.error)


class Archive:
    """The entries of an upload by clean names: `/` between parts, NFC, no leading `./`. Reads from several threads.

    Raises BadInput for a zip that is damaged, encrypted, or made to do harm.
    """

    def __init__(self, file: IO[bytes], *, size_bytes: int) -> None:
        try:
            self._zip = zipfile.ZipFile(file)
            entries = self._zip.infolist()
        except (*DAMAGED, OverflowError, MemoryError) as error:
            raise BadInput(
                "The file cannot be read as a zip.",
                remedy="It may have been cut short on its way. Pack it again and upload it again.",
            ) from error
        if len(entries) > MAX_ENTRIES:
            raise BadInput(f"The zip has {len(entries):,} entries; at most {MAX_ENTRIES:,} are read.", remedy=SPLIT_UP)
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for entry in entries:
            name = _clean_name(entry)
            if entry.is_dir() or _is_ignored(name):
                continue
            _refuse_harm(entry, name)
            if name in self._entries:
                raise BadInput(f"The zip holds {name} twice.", remedy="Pack the folder again.")
            self._entries[name] = entry
        self._refuse_bomb(size_bytes)

    def _refuse_bomb(self, size_bytes: int) -> None:
        total = sum(entry.file_size for entry in self._entries.values())
        packed = sum(entry.compress_size for entry in self._entries.values())
        if total > MAX_TOTAL_BYTES:
            raise BadInput(f"The zip unpacks to {total / 2**30:.0f} GiB.", remedy=SPLIT_UP)
        if packed > size_bytes:
            raise BadInput("The entries of the zip overlap, as those of a zip bomb do.", remedy="Pack it again.")

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def read(self, name: str) -> bytes:
        """The bytes of one entry. Raises ImageProblem when it is damaged, or longer than the zip's directory says."""
        promised = self._entries[name].file_size
        data = self.head(name, promised + 1)
        if len(data) > promised:
            text = f"{name[:200]} unpacks to more than the {promised:,} bytes that the zip gives as its size"
            raise ImageProblem(f"{text}, as zip bombs do. Pack it again.")
        return data

    def head(self, name: str, most: int) -> bytes:
        """The first `most` bytes of one entry; no more are unpacked. Raises ImageProblem when it is damaged there."""
        entry = copy.copy(self._entries[name])
        entry.file_size += SPARE_BYTES  # zipfile cuts silently at this size, and one that lies is to be seen
        try:
            with self._zip.open(entry) as file:
                return file.read(most)
        except DAMAGED as error:
            raise ImageProblem(f"The zip is damaged at this file ({error}). Pack it again.") from error


SPLIT_UP = "Upload it in several parts."


def _clean_name(entry: zipfile.ZipInfo) -> str:
    """The entry's name as its maker meant it; refuses one that leads outside."""
    name = entry.filename
    if not entry.flag_bits & 0x800:  # not marked as UTF-8, but many programs write it all the same
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            name = entry.filename
    name = unicodedata.normalize("NFC", name.replace("\\", "/"))
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or name[1:2] == ":":
        raise BadInput(
            f"The zip holds “{name[:200]}”, which leads outside its folder.",
            remedy="Pack the folder again with relative names. Nothing was unpacked.",
        )
    return str(path)


def _is_ignored(name: str) -> bool:
    """Whether it is what systems leave behind, which no one misses."""
    return any(part.startswith(".") or part.lower() in IGNORED for part in PurePosixPath(name).parts)


def _refuse_harm(entry: zipfile.ZipInfo, name: str) -> None:
    shown = name[:200]
    if entry.flag_bits & 0x1:
        raise BadInput(f"The zip is encrypted ({shown}).", remedy="Pack it again without a password.")
    if entry.compress_type not in BOUNDED:
        method = METHODS.get(entry.compress_type, f"method {entry.compress_type}")
        raise BadInput(
            f"{shown} is compressed with {method}, which is not read.",
            remedy="Pack it again with ordinary (deflate) compression. Nothing was unpacked.",
        )
    mode = entry.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise BadInput(
            f"{shown} is a link or a special file, not a photo.", remedy="Pack the files themselves, not links."
        )
    if name.lower().endswith(NESTED):
        raise BadInput(f"{shown} is an archive inside the zip.", remedy="Unpack it, and pack all photos into one zip.")
    if entry.file_size > MAX_ENTRY_BYTES:
        raise BadInput(
            f"{shown} unpacks to {entry.file_size / 2**20:,.0f} MiB; at most {MAX_ENTRY_BYTES // 2**20} are read.",
            remedy="Save the photo smaller.",
        )
    if entry.file_size > max(RATIO_MATTERS_FROM, MAX_RATIO * entry.compress_size):
        raise BadInput(
            f"{shown} unpacks to more than {MAX_RATIO} times its size, as zip bombs do.",
            remedy="Save it as JPEG or PNG, and pack it again. Nothing was unpacked.",
        )
