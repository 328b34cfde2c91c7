"""Zips made to do harm."""

import io
import stat
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from apps.core.errors import BadInput
from apps.datasets.importing import archive as module
from apps.datasets.importing.archive import Archive
from apps.datasets.models import Import, Sample
from apps.jobs.models import Job
from mlcore.images import ImageProblem
from tests.apps.datasets.conftest import make_zip, photo


def open_zip(data: bytes) -> Archive:
    return Archive(io.BytesIO(data), size_bytes=len(data))


def raw_zip(entries: list[tuple[zipfile.ZipInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for entry, data in entries:
            archive.writestr(entry, data)
    return buffer.getvalue()


def linked() -> bytes:
    entry = zipfile.ZipInfo("mug/1.jpg")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return raw_zip([(entry, b"/etc/passwd")])


def encrypted() -> bytes:
    data = bytearray(make_zip({"mug/1.jpg": photo()}))
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    return bytes(data)


def twice() -> bytes:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return raw_zip([(zipfile.ZipInfo("a/1.jpg"), b"x"), (zipfile.ZipInfo("a/1.jpg"), b"y")])


def packed_with(method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("mug/1.jpg", photo())
    return buffer.getvalue()


def lying(name: str, claimed_bytes: int, true_bytes: int) -> bytes:
    """A zip whose directory claims another size than an entry of zeros unpacks to, with the sum that fits the claim."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(name, "w") as file,
    ):
        for _ in range(true_bytes // 2**20):
            file.write(bytes(2**20))
    data = bytearray(buffer.getvalue())
    at = data.index(b"PK\x01\x02")
    struct.pack_into("<L", data, at + 16, zlib.crc32(bytes(claimed_bytes)))
    struct.pack_into("<L", data, at + 24, claimed_bytes)
    return bytes(data)


def cut_short() -> bytes:
    return make_zip({f"mug/{i}.jpg": photo(i) for i in range(5)})[:-60]


HARMFUL: dict[str, tuple[Callable[[], bytes], str]] = {
    "up": (lambda: make_zip({"../evil.jpg": photo()}), "leads outside"),
    "deep up": (lambda: make_zip({"mug/../../../evil.jpg": photo()}), "leads outside"),
    "absolute": (lambda: make_zip({"/evil.jpg": photo()}), "leads outside"),
    "drive": (lambda: make_zip({"C:\\evil.jpg": photo()}), "leads outside"),
    "backslashes": (lambda: make_zip({"..\\evil.jpg": photo()}), "leads outside"),
    "link": (linked, "link"),
    "nested": (lambda: make_zip({"mug/more.zip": make_zip({"1.jpg": photo()})}), "archive inside"),
    "bomb": (lambda: make_zip({"mug/1.bmp": bytes(30_000_000)}), "zip bombs"),
    "bzip2": (lambda: packed_with(zipfile.ZIP_BZIP2), "mug/1.jpg is compressed with bzip2"),
    "LZMA": (lambda: packed_with(zipfile.ZIP_LZMA), "mug/1.jpg is compressed with LZMA"),
    "encrypted": (encrypted, "encrypted"),
    "twice": (twice, "twice"),
    "cut short": (cut_short, "cannot be read as a zip"),
    "no photos": (lambda: make_zip({"readme.txt": "hello"}), "no photos"),
    "nothing": (lambda: make_zip({}), "no photos"),
}


@pytest.mark.parametrize("name", HARMFUL)
def test_a_harmful_zip_is_refused_and_leaves_nothing(
    name: str, bring_in: Callable[..., tuple[Import, Job]], tmp_path: Path
) -> None:
    make, words = HARMFUL[name]
    before = {path for path in tmp_path.parent.rglob("*") if "files" not in path.parts}
    made, job = bring_in(make())
    assert job.state == Job.State.FAILED
    assert words in job.error
    assert words in made.problems[0]["message"]  # the import's own page says it too
    assert Sample.objects.count() == 0
    assert {path for path in tmp_path.parent.rglob("*") if "files" not in path.parts} == before
    assert not [path for path in (tmp_path / "files").rglob("*") if path.is_file()]


def test_too_many_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 3)
    with pytest.raises(BadInput, match="4 entries"):
        open_zip(make_zip({f"{i}.jpg": b"x" for i in range(4)}))


def test_overlapping_entries() -> None:
    """Many entries of the directory that all name one piece of data, as in the quoted bomb."""
    data = make_zip({"1.jpg": photo(1)})
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        start = archive.start_dir
    record = data[start : data.index(b"PK\x05\x06")]
    records = record + record.replace(b"1.jpg", b"2.jpg") + record.replace(b"1.jpg", b"3.jpg")
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 3, 3, len(records), start, 0)
    with pytest.raises(BadInput, match="overlap"):
        open_zip(data[:start] + records + end)


def test_a_damaged_entry_spares_the_others() -> None:
    data = bytearray(make_zip({"1.jpg": photo(1), "2.jpg": photo(2)}))
    data[60] ^= 0xFF
    archive = open_zip(bytes(data))
    with pytest.raises(ImageProblem, match="damaged at this file"):
        archive.read("1.jpg")
    assert archive.read("2.jpg") == photo(2)


@pytest.mark.parametrize("claimed_bytes", [5, 2**20])
def test_a_size_that_lies_is_not_believed(claimed_bytes: int) -> None:
    """The directory claims a little; the data unpacks to 320 MiB. Hardly more than was promised is unpacked."""
    archive = open_zip(lying("1.jpg", claimed_bytes, 320 * 2**20))
    tracemalloc.start()
    try:
        with pytest.raises(ImageProblem, match=f"1.jpg unpacks to more than the {claimed_bytes:,} bytes"):
            archive.read("1.jpg")
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 8 * 2**20


def test_a_lie_spares_the_other_photos(bring_in: Callable[..., tuple[Import, Job]]) -> None:
    data = lying("mug/bomb.jpg", 2**20, 64 * 2**20)
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("mug/1.jpg", photo())
    made, job = bring_in(buffer.getvalue())
    assert job.result == {"added": 1, "duplicate": 0, "refused": 1}, job.error
    assert "mug/bomb.jpg unpacks to more" in made.files.get(path="mug/bomb.jpg").message


def test_names_are_read_as_they_were_meant() -> None:
    archive = open_zip(raw_zip([(zipfile.ZipInfo("./Äpfel\\1.jpg"), b"x"), (zipfile.ZipInfo(".hidden/2.jpg"), b"x")]))
    assert list(archive) == ["Äpfel/1.jpg"]
