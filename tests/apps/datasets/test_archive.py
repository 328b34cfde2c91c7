"""Zips made to do harm."""

import io
import stat
import struct
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


def test_a_size_that_lies_is_not_believed() -> None:
    """The directory says 5 bytes; the data unpacks to a megabyte. No more than was promised is unpacked."""
    data = bytearray(make_zip({"1.jpg": bytes(1_000_000)}))
    for magic, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(magic) + offset
        data[at : at + 4] = struct.pack("<L", 5)
        data[at - 8 : at - 4] = struct.pack("<L", zlib.crc32(bytes(5)))
    assert len(open_zip(bytes(data)).read("1.jpg")) == 5


def test_names_are_read_as_they_were_meant() -> None:
    archive = open_zip(raw_zip([(zipfile.ZipInfo("./Äpfel\\1.jpg"), b"x"), (zipfile.ZipInfo(".hidden/2.jpg"), b"x")]))
    assert list(archive) == ["Äpfel/1.jpg"]
